package awskms_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// spelled is a gateway with two keys and callers who may use one of them, each
// because of something else. The policy of the other key denies.
type spelled struct {
	*face
	own, other *api.KeyMetadata
	spellings  []string // of own, each of them
	callers    []gatewaytest.Credentials
}

func newSpelled(t testing.TB) *spelled {
	t.Helper()
	f := newFace(t)
	s := &spelled{face: f, own: f.CreateKey(api.P256, api.SignVerify), other: f.CreateKey(api.P256, api.SignVerify)}
	for name, key := range map[string]string{"alias/own": s.own.KeyId, "alias/other": s.other.KeyId} {
		f.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: name, TargetKeyId: key}, nil)
	}
	s.spellings = []string{s.own.KeyId, s.own.Arn, "alias/own", strings.Replace(s.own.Arn, "key/"+s.own.KeyId, "alias/own", 1)}
	byRole, byPolicy, byKey := f.Principal("role", policy.RoleUser, s.own.KeyId), f.Principal("policy", policy.RoleUser), f.Principal("key", policy.RoleUser)
	s.callers = []gatewaytest.Credentials{byRole, byPolicy, byKey}
	text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:DescribeKey","kms:Sign"],"Resource":"` + s.own.Arn + `"}}`
	if err := f.Identities.PutPolicy(t.Context(), "own", text, f.Now()); err != nil {
		t.Fatal(err)
	}
	if err := f.Identities.AttachPolicy(t.Context(), byPolicy.ARN, "own"); err != nil {
		t.Fatal(err)
	}
	account := `{"Effect":"Allow","Principal":{"AWS":"` + gatewaytest.Account + `"},"Action":"kms:*","Resource":"*"}`
	for key, more := range map[string]string{
		s.own.KeyId:   `{"Effect":"Allow","Principal":{"AWS":"` + byKey.ARN + `"},"Action":["kms:DescribeKey","kms:Sign"],"Resource":"*"}`,
		s.other.KeyId: `{"Effect":"Deny","NotPrincipal":{"AWS":"` + f.Admin.ARN + `"},"Action":"kms:*","Resource":"*"}`,
	} {
		f.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": `{"Version":"2012-10-17","Statement":[` + account + "," + more + "]}"}, nil)
	}
	return s
}

// check asks for a key by one spelling, on both faces, as each caller: those of the
// own key reach it, and no other spelling reaches a key, nor tells whether there is
// one.
func (s *spelled) check(t *testing.T, name string) {
	t.Helper()
	named, _ := json.Marshal(map[string]string{"KeyId": name})
	want := slices.Contains(s.spellings, name)
	for i := range s.callers {
		c := &s.callers[i]
		a := s.do(t, s.sign(c, "TrentService.DescribeKey", string(named)))
		s.answered(t, "AWS "+name, want, a.status == http.StatusOK, a.body, name)
		escaped := s.get(t, c.Token, s.URL+"/v1/keys/"+url.PathEscape(name))
		s.answered(t, "REST "+name, want, escaped.status == http.StatusOK, escaped.body, name)
		// As it stands, a path may spell the key in more ways, and another route.
		if u, err := url.Parse(s.URL + "/v1/keys/" + name); err == nil {
			raw := s.get(t, c.Token, u.String())
			own := strings.Contains(string(raw.body), s.own.KeyId)
			s.answered(t, "path "+name, own && raw.status == http.StatusOK, raw.status == http.StatusOK, raw.body, u.Path)
		}
	}
}

// get asks over REST. The gateway's own Send belongs to the fuzz test, not to its inputs.
func (s *spelled) get(t *testing.T, token, target string) (a answer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	defer resp.Body.Close()
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	a.status = resp.StatusCode
	return a
}

func (s *spelled) answered(t *testing.T, what string, want, got bool, body []byte, name string) {
	t.Helper()
	text := string(body)
	if got != want || got && !strings.Contains(text, s.own.KeyId) || strings.Contains(text, s.other.KeyId) && !strings.Contains(name, s.other.KeyId) {
		t.Fatalf("%s: allowed %v, want %v: %s", what, got, want, text)
	}
}

// tricks are spellings of both keys that have opened doors elsewhere.
func (s *spelled) tricks() []string {
	all := slices.Clone(s.spellings)
	o, p := s.own.KeyId, s.other.KeyId
	return append(all, p, s.other.Arn, "alias/other", strings.Replace(s.other.Arn, "key/"+p, "alias/other", 1),
		strings.ToUpper(o), strings.ToUpper(s.own.Arn), "ALIAS/own", "alias/Own", "Alias/own", " "+o, o+" ", o+"\n", o+"\x00", o+"\x00"+p, o+","+p, o+";"+p, o+"?KeyId="+p, o+"#"+p,
		o+"/../"+p, "../keys/"+p, "./"+o, o+"%2F..%2F"+p, o+"/%2e%2e/"+p, "alias%2Fown", "alias%2Fother", "alias%252Fother", "%61lias/other", "alias//own", "alias/own/", "alias/own/../other",
		"alias/*", "*", "", ".", "..", "key/"+o, "arn:aws:kms:*:*:key/"+o, strings.Replace(s.own.Arn, "eu-central-1", "us-east-1", 1), strings.Replace(s.own.Arn, gatewaytest.Account, "999999999999", 1),
		strings.Replace(s.own.Arn, "aws", "aws-cn", 1), s.own.Arn+":x", "{"+o+"}", "urn:uuid:"+o, strings.ReplaceAll(o, "-", ""), "\u0430lias/own", "alias/own\u200b", "\xff", o[:35],
		o+"/public-key", p+"/public-key", o+"/policy", p+"/policy", p+"/sign", "alias/other/public-key")
}

// TestSpellings: no spelling of a key's name changes a decision, on either face.
func TestSpellings(t *testing.T) {
	s := newSpelled(t)
	for _, name := range s.tricks() {
		s.check(t, name)
	}
}

// FuzzSpelling is TestSpellings for any name.
func FuzzSpelling(f *testing.F) {
	s := newSpelled(f)
	for _, name := range s.tricks() {
		f.Add(name)
	}
	// A worker has keys of its own: in what others found, the ids stand for them.
	f.Add("{own}")
	f.Add("alias/own/{other}")
	ids := strings.NewReplacer("{own}", s.own.KeyId, "{other}", s.other.KeyId)
	f.Fuzz(func(t *testing.T, name string) {
		if len(name) > 4096 {
			return
		}
		s.check(t, ids.Replace(name))
	})
}
