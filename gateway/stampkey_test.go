package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// certificateFor is the certificate of an authority, for a public key.
func certificateFor(t *testing.T, public any) *x509.Certificate {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TSA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStampKeyIsChecked: what keeps a key from signing timestamps is said before anybody asks for one.
func TestStampKeyIsChecked(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	home := gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region}
	key, stamps := stampKey(t, g, "alias/tsa")
	arn, other := "arn:aws:kms:"+home.Region+":"+home.Account+":key/"+key, g.CreateKey(api.P256, api.SignVerify).KeyId
	var outside api.CreateKeyResponse
	g.Call("POST", "/v1/keys", map[string]any{"KeySpec": api.P256, "KeyUsage": api.SignVerify, "Origin": "EXTERNAL"}, &outside)
	check := func(name, says, todo string) {
		t.Helper()
		stamps := &gateway.Timestamps{Key: name, Authority: stamps.Authority}
		problem, do := stamps.CheckKey(g.Store, home, g.Now())
		if (problem == "") != (says == "") || !strings.Contains(problem, says) || (do == "") != (todo == "") || !strings.Contains(do, todo) {
			t.Errorf("%s: %q, %q; want %q, %q", name, problem, do, says, todo)
		}
	}
	for _, name := range []string{key, arn, "alias/tsa", "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":alias/tsa"} {
		check(name, "", "")
	}
	check("alias/none", "alias/none is not found", "hsmgate alias create")
	check("1234abcd-12ab-34cd-56ef-1234567890ab", "does not exist", "hsmgate key create")
	check("TSA", "Invalid keyId 'TSA'", "id, ARN or alias")
	check(strings.Replace(arn, gatewaytest.Region, "mars-1", 1), "Invalid arn mars-1", "of a key in "+gatewaytest.Region)
	check(g.CreateKey(api.Ed25519, api.SignVerify).KeyId, "is of spec ECC_NIST_EDWARDS25519 for SIGN_VERIFY", "RSA, P-256")
	check(g.CreateKey(api.P256, api.KeyAgreement).KeyId, "for KEY_AGREEMENT", "a key that signs")
	check(g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId, "is of spec SYMMETRIC_DEFAULT", "a key that signs")
	check(outside.KeyMetadata.KeyId, "is pending import", "hsmgate key import")
	check(other, "the certificate of CN=TSA is not that of arn:", "have one issued for the key")

	g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
	check("alias/tsa", "is disabled", "hsmgate key enable")
	g.Call("POST", "/v1/keys/"+key+"/enable", nil, nil)
	check("alias/tsa", "", "")
	g.Call("PUT", "/v1/keys/"+key+"/approval-rule", map[string]any{"Required": 1, "Approvers": []string{g.Admin.ARN}}, nil)
	check("alias/tsa", "has an approval rule", "another key for timestamps")
	g.Call("POST", "/v1/keys/"+other+"/schedule-deletion", nil, nil)
	check(other, "is pending deletion", "hsmgate key cancel-deletion")
}

// stampKey makes a key of this name for timestamps and gives its id, with an authority that has its certificate.
func stampKey(t *testing.T, g *gatewaytest.Gateway, alias string) (key string, stamps *gateway.Timestamps) {
	t.Helper()
	key = g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: key}, nil)
	var public api.GetPublicKeyResponse
	g.Call("GET", "/v1/keys/"+key+"/public-key", nil, &public)
	parsed, err := x509.ParsePKIXPublicKey(public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, &gateway.Timestamps{Key: alias, Authority: timestamp.Authority{Certificates: []*x509.Certificate{certificateFor(t, parsed)}}}
}

// TestReadinessLooksAtTheStampKey: where no token can be given, readiness and the start say so. Strangers are not told which key it is.
func TestReadinessLooksAtTheStampKey(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, good := stampKey(t, g, "alias/tsa")
	_, other := stampKey(t, g, "alias/other")
	serve := func(stamps *gateway.Timestamps, name string) {
		g.Service.ServeTimestamps(&gateway.Timestamps{Authority: stamps.Authority, Key: name})
	}
	is := func(status gateway.Status, detail, do string) {
		t.Helper()
		r := g.Service.Readiness()
		if !slices.ContainsFunc(r.Parts, func(p gateway.Part) bool { return p.Name == "timestamp authority" }) {
			t.Fatalf("%+v", r)
		}
		for i, p := range r.Parts {
			if p.Name != "timestamp authority" {
				continue
			}
			if p.Status != status || !strings.Contains(p.Detail, detail) || !strings.Contains(p.Do, do) || status == gateway.StatusDegraded != strings.Contains(p.State, "gives no tokens") {
				t.Errorf("%+v", p)
			}
			if public := r.ForStrangers().Parts[i]; strings.Contains(public.State+public.Do+public.Detail, key) {
				t.Errorf("strangers read %+v", public)
			}
		}
	}
	warned := func(says string) {
		t.Helper()
		lines := g.Lines.TakeAll()
		if found := slices.ContainsFunc(lines, func(l observer.LoggedEntry) bool {
			return l.Level == zap.WarnLevel && says != "" && strings.Contains(l.Message, says) && l.ContextMap()["do"] != ""
		}); found != (says != "") {
			t.Errorf("%q is not a warning: %v", says, lines)
		}
	}
	g.Lines.TakeAll()
	serve(good, "alias/tsa")
	is(gateway.StatusReady, "valid until", "")
	if lines := g.Lines.TakeAll(); len(lines) > 0 {
		t.Errorf("%v", lines)
	}
	serve(good, "alias/nokey")
	is(gateway.StatusDegraded, "alias/nokey is not found", "hsmgate alias create")
	warned("alias/nokey is not found")
	serve(other, "alias/tsa")
	is(gateway.StatusDegraded, "is not that of arn:", "have one issued for the key")
	warned("is not that of arn:")
	serve(good, "alias/tsa")
	g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
	is(gateway.StatusDegraded, key+" is disabled", "hsmgate key enable")
}

// TestStampKeyWarnings: what will end an authority's tokens, and what shuts strangers out, is said before it does.
func TestStampKeyWarnings(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	home := gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region}
	key, stamps := stampKey(t, g, "alias/tsa")
	warns := func(want ...string) {
		t.Helper()
		got := stamps.WarnOfKey(g.Store, home, g.Now())
		if len(got) != len(want) {
			t.Fatalf("%+v; want %q", got, want)
		}
		for i, w := range got {
			if !strings.Contains(w.Problem, want[i]) || w.Do == "" {
				t.Errorf("%+v; want %q", w, want[i])
			}
		}
	}
	warns()
	g.Call("PUT", "/v1/keys/"+key+"/rotation", map[string]any{"RotationPeriodInDays": 365}, nil)
	warns("rotates by itself, next at 20")
	g.Call("POST", "/v1/keys/"+key+"/rotate", nil, nil)
	warns("version 2 of arn:", "rotates by itself")
	g.Lines.TakeAll()
	g.Service.ServeTimestamps(stamps)
	if lines := g.Lines.TakeAll(); len(lines) != 2 {
		t.Errorf("the start warns of %v", lines)
	}
	g.Call("DELETE", "/v1/keys/"+key+"/rotation", nil, nil)
	warns("version 2 of arn:")
	if problem, _ := stamps.CheckKey(g.Store, home, g.Now().Add(25*time.Hour)); !strings.Contains(problem, "version 2") {
		t.Errorf("after the overlap: %q", problem)
	}

	shut := func(want string) {
		t.Helper()
		if problem, do := stamps.ShutsOut(g.Store, home); (problem == "") != (want == "") || !strings.Contains(problem, want) || (do == "") != (want == "") {
			t.Errorf("%q, %q; want %q", problem, do, want)
		}
	}
	shut("") // not public
	stamps.Public = true
	shut("allows hsmgate:Timestamp to nobody without a credential") // there is no policy
	const all = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + gatewaytest.Account + `:root"},"Action":["kms:*","hsmgate:*"],"Resource":"*"}`
	for more, want := range map[string]string{"": "to nobody", `,{"Effect":"Allow","Principal":"*","Action":"hsmgate:Timestamp","Resource":"*"}`: ""} {
		g.Call("PUT", "/v1/keys/"+key+"/policy", api.PutKeyPolicyRequest{Policy: `{"Version":"2012-10-17","Statement":[` + all + more + `]}`}, nil)
		shut(want)
	}
}
