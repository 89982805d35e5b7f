package identity

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

var run7 = Proof{Session: "run-7", Tags: map[string]string{"branch": "main"}, Claims: map[string][]string{"iss": {"https://x"}, "sub": {"repo:x"}},
	CertificateSubject: "CN=x", CertificateSANs: []string{"dns:x"}}

// sessionOn is a session of the role deploy, good for an hour.
func sessionOn(t testing.TB, i *Identities) *Session {
	t.Helper()
	s, err := i.NewRoleSession("deploy", run7, "", time.Hour, now)
	ok(t, err)
	return s
}

// bothWays asks for the principal of a session by its access key and by its bearer
// token, which have to agree.
func bothWays(t testing.TB, i *Identities, s *Session, at time.Time) (policy.Principal, error) {
	t.Helper()
	secret, signs, err := i.TemporaryKey(s.AccessKeyID, s.SessionToken, at)
	bears, other := i.Bearer(s.Bearer, at)
	is(t, other, err)
	equal(t, bears, signs)
	if err == nil {
		equal(t, secret, s.SecretAccessKey)
	} else {
		equal(t, secret, "")
		equal(t, signs, policy.Principal{})
	}
	return signs, err
}

func TestRoleSession(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	s := sessionOn(t, i)
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(s.AccessKeyID) || !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(s.SecretAccessKey) {
		t.Errorf("id %q, secret of %d characters", s.AccessKeyID, len(s.SecretAccessKey))
	}
	want, err := i.Assume("deploy", run7, now)
	ok(t, err)
	equal(t, s.Principal, want)
	want.CredentialID = s.AccessKeyID
	equal(t, s.Expires, now.Add(time.Hour))
	same, err := New(i.store, seal, account) // another process, with the same seal key
	ok(t, err)
	for _, one := range []*Identities{i, same} {
		got, err := bothWays(t, one, s, now.Add(time.Hour-1))
		ok(t, err)
		equal(t, got, want)
		_, err = bothWays(t, one, s, now.Add(time.Hour))
		is(t, err, ErrExpired)
	}
	other, err := New(openStore(t, t.TempDir()+"/other.db"), []byte("another seal key, of 32 bytes..."), account)
	ok(t, err)
	_, err = bothWays(t, other, s, now)
	is(t, err, ErrUnknown)

	// What is changed of the role counts for the sessions that there are.
	ok(t, i.DetachPolicy(t.Context(), i.RoleARN("deploy"), "p"))
	ok(t, i.SetPrincipalKeys(t.Context(), i.RoleARN("deploy"), []string{"key-2"}))
	ok(t, i.TagPrincipal(t.Context(), i.RoleARN("deploy"), []store.Tag{{Name: "tier", Value: "2"}}, []string{"Team"}))
	got, err := bothWays(t, i, s, now)
	ok(t, err)
	equal(t, got.Policies, nil)
	equal(t, got.Keys, map[string]bool{"key-2": true})
	equal(t, got.Tags, map[string]string{"branch": "main", "tier": "2"})
}

// TestForgedSessions: a token is good for its own access key, in its own form, for
// its own purpose.
func TestForgedSessions(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	s, other := sessionOn(t, i), sessionOn(t, i)
	refused := func(id, token string) {
		t.Helper()
		secret, p, err := i.TemporaryKey(id, token, now)
		is(t, err, ErrUnknown)
		equal(t, secret, "")
		equal(t, p, policy.Principal{})
	}
	refused(s.AccessKeyID, other.SessionToken)
	refused(other.AccessKeyID, s.SessionToken)
	refused("", s.SessionToken)
	refused(s.AccessKeyID, "")
	refused(s.AccessKeyID, "!")
	refused(s.AccessKeyID, s.SessionToken+"\n")
	refused(s.AccessKeyID, s.SessionToken+"AAAA")
	refused(s.AccessKeyID, strings.Repeat("AAAA", 1<<20))
	raw, err := base64.StdEncoding.DecodeString(s.SessionToken)
	ok(t, err)
	for n := range raw {
		raw[n] ^= 1
		refused(s.AccessKeyID, base64.StdEncoding.EncodeToString(raw))
		raw[n] ^= 1
		refused(s.AccessKeyID, base64.StdEncoding.EncodeToString(raw[:n]))
	}
	bearer, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(s.Bearer, sessionPrefix))
	ok(t, err)
	refused(s.AccessKeyID, base64.StdEncoding.EncodeToString(bearer))
	for _, token := range []string{
		sessionPrefix, sessionPrefix + base64.RawURLEncoding.EncodeToString(raw), s.Bearer + "AAAA", s.Bearer[:len(s.Bearer)-4], s.Bearer + "\n",
		strings.TrimPrefix(s.Bearer, sessionPrefix), bearerPrefix + strings.TrimPrefix(s.Bearer, sessionPrefix),
	} {
		_, err := i.Bearer(token, now)
		is(t, err, ErrUnknown)
	}
	_, _, err = i.AccessKey(s.AccessKeyID, now) // without its token
	is(t, err, ErrUnknown)
}

// TestSessionsEnd: with the role, even if there is another one of that name, and
// when they are ended; sessions made after that are good.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	s := sessionOn(t, i)
	ok(t, i.EndSessions(t.Context(), i.RoleARN("deploy"), now)) // in the same moment
	_, err := bothWays(t, i, s, now)
	is(t, err, ErrUnknown)
	is(t, i.EndSessions(t.Context(), i.RoleARN("none"), now), store.ErrNotFound)

	s = sessionOn(t, i)
	_, err = bothWays(t, i, s, now)
	ok(t, err)
	ok(t, i.DeletePrincipal(t.Context(), i.RoleARN("deploy")))
	_, err = bothWays(t, i, s, now)
	is(t, err, ErrUnknown)
	_, err = i.CreateRole(t.Context(), "deploy", policy.RoleUser, nil, now.Add(time.Second))
	ok(t, err)
	_, err = bothWays(t, i, s, now.Add(2*time.Second))
	is(t, err, ErrUnknown)
}

func TestUserSession(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	ci, err := i.principal(i.current(), i.PrincipalARN("ci"))
	ok(t, err)
	maker, _, err := i.IssueAccessKey(t.Context(), ci.ARN, 2*time.Hour, now)
	ok(t, err)
	s, err := i.NewUserSession(maker, time.Hour, now)
	ok(t, err)
	got, err := bothWays(t, i, s, now)
	ok(t, err)
	ci.CredentialID = s.AccessKeyID
	equal(t, got, ci)
	assumed, err := i.NewRoleSession("deploy", run7, maker, time.Hour, now)
	ok(t, err)
	all := func(want error) {
		t.Helper()
		for _, one := range []*Session{s, assumed} {
			_, err := bothWays(t, i, one, now)
			is(t, err, want)
		}
		_, err := i.NewUserSession(maker, time.Hour, now)
		is(t, err, want)
	}
	ok(t, i.DisableAccessKey(t.Context(), maker))
	all(ErrDisabled)
	ok(t, i.EnableAccessKey(t.Context(), maker))
	all(nil)
	ok(t, i.DeleteAccessKey(t.Context(), maker))
	all(ErrUnknown)
	_, err = i.NewUserSession("", time.Hour, now)
	is(t, err, ErrUnknown)
	long, err := i.NewUserSession(mustKey(t, i, ci.ARN, time.Minute), time.Hour, now)
	ok(t, err)
	_, err = bothWays(t, i, long, now.Add(time.Minute)) // the access key is no good any more
	is(t, err, ErrExpired)
}

func mustKey(t testing.TB, i *Identities, arn string, ttl time.Duration) string {
	t.Helper()
	id, _, err := i.IssueAccessKey(t.Context(), arn, ttl, now)
	ok(t, err)
	return id
}

// TestSessionsAreBounded: what a provider says does not choose how long a token is.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	with := func(n int) error {
		p := run7
		p.Claims = map[string][]string{"x": {strings.Repeat("x", n)}}
		s, err := i.NewRoleSession("deploy", p, "", time.Hour, now)
		if err != nil {
			return err
		}
		if len(s.SessionToken) > maxToken || len(s.Bearer) > maxToken+len(sessionPrefix) {
			t.Errorf("tokens of %d and %d characters", len(s.SessionToken), len(s.Bearer))
		}
		_, err = bothWays(t, i, s, now)
		return err
	}
	least := 3000
	ok(t, with(least))
	for with(least) == nil {
		least++
	}
	ok(t, with(least-1))
	is(t, with(least), ErrInvalid)
	_, err := i.NewRoleSession("none", run7, "", time.Hour, now)
	is(t, err, ErrUnknown)
}
