package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

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
	made := g.CreateKey(api.P256, api.SignVerify)
	key, other := made.KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	var public api.GetPublicKeyResponse
	g.Call("GET", "/v1/keys/"+key+"/public-key", nil, &public)
	parsed, err := x509.ParsePKIXPublicKey(public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/tsa", TargetKeyId: key}, nil)
	var outside api.CreateKeyResponse
	g.Call("POST", "/v1/keys", map[string]any{"KeySpec": api.P256, "KeyUsage": api.SignVerify, "Origin": "EXTERNAL"}, &outside)
	certificates := []*x509.Certificate{certificateFor(t, parsed)}
	check := func(name, says, todo string) {
		t.Helper()
		stamps := &gateway.Timestamps{Key: name, Authority: timestamp.Authority{Certificates: certificates}}
		problem, do := stamps.CheckKey(g.Store, home, g.Now())
		if (problem == "") != (says == "") || !strings.Contains(problem, says) || (do == "") != (todo == "") || !strings.Contains(do, todo) {
			t.Errorf("%s: %q, %q; want %q, %q", name, problem, do, says, todo)
		}
	}
	for _, name := range []string{key, made.Arn, "alias/tsa", "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":alias/tsa"} {
		check(name, "", "")
	}
	check("alias/none", "alias/none is not found", "hsmgate alias create")
	check("1234abcd-12ab-34cd-56ef-1234567890ab", "does not exist", "hsmgate key create")
	check("TSA", "Invalid keyId 'TSA'", "id, ARN or alias")
	check(strings.Replace(made.Arn, gatewaytest.Region, "mars-1", 1), "Invalid arn mars-1", "of a key in "+gatewaytest.Region)
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
