package gateway_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// slow is a limit whose bucket does not fill by itself while a test runs.
func slow(burst int) gateway.Limit {
	return gateway.Limit{RequestsPerSecond: 0.001, Burst: burst}
}

// throttled checks that a call was refused by a limit, and recorded.
func (a *asked) throttled(what string, got gatewaytest.Answer, limit string) {
	a.t.Helper()
	refusal(a.t, got, 429, api.Throttling)
	seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 1000 || !strings.Contains(string(got.Body), "0.001 calls a second "+limit) {
		a.t.Errorf("%s: %v %s", what, got.Header, got.Body)
	}
	r := a.Records()[len(a.Records())-1]
	if r.Outcome != "failed" || r.ErrorCode != string(api.Throttling) || r.Principal == "" || r.Operation == "" || got.Header.Get("Hsmgate-Audit-Record") == "" {
		a.t.Errorf("%s: %+v", what, r)
	}
}

// TestLimitOfACaller bounds one and no other, whatever the calls are.
func TestLimitOfACaller(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Limits: gateway.Limits{Principal: slow(4)}}) // of which the administrator makes two keys
	a.attach(a.user, "may", statement("Allow", "", "kms:*"))
	a.attach(a.other, "may-too", statement("Allow", "", "kms:*"))
	malformed := map[string]string{"Colour": "red"}
	for range 2 {
		a.allowed("within", a.sign(a.user), "policy/may/1")
	}
	refusal(t, a.Send(a.user.Token, "GET", "/v1/nothing", nil), 404, api.UnknownOperation)
	refusal(t, a.Send(a.user.Token, "POST", "/v1/keys/"+a.signing+"/sign", malformed), 400, api.Serialization)
	before := a.Token.Stats().Calls
	a.throttled("beyond", a.sign(a.user), "for each caller")
	a.throttled("an operation that is not there", a.Send(a.user.Token, "GET", "/v1/nothing", nil), "for each caller")
	a.throttled("a malformed one", a.Send(a.user.Token, "POST", "/v1/keys/"+a.signing+"/sign", malformed), "for each caller")
	if a.Token.Stats().Calls != before {
		t.Error("the token was asked")
	}
	a.allowed("another caller", a.sign(a.other), "policy/may-too/1")
	a.Advance(1000 * time.Second)
	a.allowed("one more", a.sign(a.user), "policy/may/1")
	a.throttled("beyond again", a.sign(a.user), "for each caller")
	refusal(t, a.Send("hsmgate_nobody", "GET", "/v1/keys", nil), 401, api.UnrecognizedClient) // strangers have no bucket
}

// TestLimitOfARole: its sessions are one caller, whatever their names are, and the tokens
// of a provider are, too.
func TestLimitOfARole(t *testing.T) {
	t.Parallel()
	issuer := identitytest.NewIssuer(t)
	a := newAsked(t, gatewaytest.Options{Limits: gateway.Limits{Principal: slow(4)},
		Providers: []identity.Provider{{Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Session: "{run}", Rules: []identity.ClaimRule{
			{Role: "deploy", Claims: map[string]string{"sub": "job"}}, {Role: "build", Claims: map[string]string{"sub": "build"}},
			{Role: "gone", Claims: map[string]string{"sub": "gone"}}, {Role: "lost", Claims: map[string]string{"sub": "lost"}}}}}})
	for _, role := range []string{"deploy", "build"} {
		_, err := a.Identities.CreateRole(t.Context(), role, policy.RoleAdministrator, nil, a.Now())
		noError(t, err)
	}
	passed := func(method, path, sub string) (n int) {
		for i := range 10 {
			token := issuer.Token(map[string]any{"iss": issuer.URL, "aud": "hsmgate", "sub": sub, "run": fmt.Sprint(method, i), "iat": a.Now().Unix(), "exp": a.Now().Add(time.Minute).Unix()})
			if a.Send(token, method, path, nil).Status != http.StatusTooManyRequests {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		method, path, sub string
		want              int
	}{
		{"GET", "/v1/keys", "job", 4},
		{"POST", "/v1/sessions", "job", 0}, // the same caller
		{"POST", "/v1/sessions", "build", 4},
		{"POST", "/v1/sessions", "gone", 4}, // a rule for a role that is not there
		{"POST", "/v1/sessions", "lost", 4}, // and for another
	} {
		if n := passed(c.method, c.path, c.sub); n != c.want {
			t.Errorf("%+v: %d pass", c, n)
		}
	}
}

// TestStrangersTakeNothing: who proves nothing that a rule knows takes none of the calls
// of the others.
func TestStrangersTakeNothing(t *testing.T) {
	t.Parallel()
	issuer := identitytest.NewIssuer(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Limits: gateway.Limits{Gateway: slow(3)}, Providers: []identity.Provider{{
		Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Rules: []identity.ClaimRule{{Role: "deploy", Claims: map[string]string{"sub": "job"}}}}}})
	stranger := issuer.Token(map[string]any{"iss": issuer.URL, "aud": "hsmgate", "sub": "stranger", "iat": g.Now().Unix(), "exp": g.Now().Add(time.Minute).Unix()})
	for _, token := range []string{stranger, "a.b.c", "x"} {
		for range 4 {
			if a := g.Send(token, "POST", "/v1/sessions", nil); a.Status != http.StatusForbidden && a.Status != http.StatusUnauthorized {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			refusal(t, g.Send(token, "GET", "/v1/keys", nil), 401, api.UnrecognizedClient)
		}
	}
	for range 3 {
		g.Call("GET", "/v1/keys", nil, nil)
	}
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys", nil), 429, api.Throttling)
}

// TestLimitOfAKey: only who may use the key takes from its bucket, and nobody else
// learns of it.
func TestLimitOfAKey(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Limits: gateway.Limits{Key: slow(3)}})
	a.attach(a.user, "may", statement("Allow", "", "kms:*"))
	for range 9 {
		a.denied("a stranger", a.sign(a.other), "no identity-based policy")
	}
	for range 3 {
		a.allowed("within", a.sign(a.user), "policy/may/1")
	}
	a.throttled("beyond", a.sign(a.user), "for each key")
	a.throttled("the administrator", a.sign(a.Admin), "for each key")
	known := a.sign(a.other)
	a.denied("a stranger", known, "no identity-based policy")
	unknown := a.signWith(a.other, "00000000-0000-4000-8000-000000000000", nil)
	if known.Status != unknown.Status || known.Code() != unknown.Code() {
		t.Errorf("a key that is there is told apart: %s %s", known.Body, unknown.Body)
	}
	sealed := encrypt(a.Gateway, a.sealing, []byte("m"), nil) // the first of another key's three
	re := map[string]any{"CiphertextBlob": sealed, "DestinationKeyId": a.sealing}
	for range 2 { // each is about one key, once
		if got := a.Send(a.user.Token, "POST", "/v1/re-encrypt", re); got.Status != 200 {
			t.Errorf("%s", got.Body)
		}
	}
	a.throttled("re-encryption", a.Send(a.user.Token, "POST", "/v1/re-encrypt", re), "for each key")
}

// TestLimitOfTheGateway bounds all callers together, and exactly.
func TestLimitOfTheGateway(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Limits: gateway.Limits{Gateway: slow(12), Principal: gateway.Limit{RequestsPerSecond: 1e6}}})
	var mu sync.Mutex
	status := map[int]int{}
	var all sync.WaitGroup
	for i := range 30 {
		who := []gatewaytest.Credentials{a.Admin, a.user, a.other}[i%3]
		all.Go(func() {
			got := a.sign(who)
			mu.Lock()
			defer mu.Unlock()
			status[got.Status]++
		})
	}
	all.Wait()
	if status[200]+status[403] != 10 || status[429] != 20 { // two made the keys
		t.Errorf("%v", status)
	}
	a.throttled("everybody", a.sign(a.Admin), "for the whole gateway")
}

// TestBucketsAreForgotten once they are full, so that memory does not grow.
func TestBucketsAreForgotten(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Limits: gateway.Limits{Gateway: slow(1000), Principal: slow(100), Key: slow(100)}})
	for i := range 5 {
		a.sign(a.Principal("p"+strconv.Itoa(i), policy.RoleUser))
	}
	a.sign(a.Admin)
	if n := a.Service.Buckets(); n != 1+6+1 {
		t.Errorf("%d buckets", n)
	}
	go a.Service.Run(t.Context(), time.Millisecond)
	a.Advance(1000 * time.Second)
	until(t, "those who called once are forgotten", func() bool { return a.Service.Buckets() == 1+1 })
	a.Advance(time.Hour * 24)
	until(t, "all are", func() bool { return a.Service.Buckets() == 0 })
}
