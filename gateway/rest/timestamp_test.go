package rest_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	x5 "github.com/hsmgate/hsmgate/gateway/certificate"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/cms"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// serveStamps makes the gateway an authority, public, with a certificate of this time, and gives its key.
func serveStamps(t *testing.T, g *gatewaytest.Gateway, from, until time.Time) string {
	t.Helper()
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	signer, err := client.NewSigner(t.Context(), client.New(g.URL, g.Admin.Token), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x5.SelfSigned(signer, pkix.Name{CommonName: "stamps"}, x5.Names{}, x5.Terms{Profile: x5.Timestamping, From: from, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	g.Service.ServeTimestamps(&gateway.Timestamps{
		Authority: timestamp.Authority{Certificates: []*x509.Certificate{own}, Policy: asn1.ObjectIdentifier{1, 2, 3}},
		Key:       key, Public: true, Limit: gateway.Limit{RequestsPerSecond: 1000, Burst: 1000},
	})
	return key
}

// stamp asks for a timestamp.
func stamp(t *testing.T, g *gatewaytest.Gateway, token string) gatewaytest.Answer {
	t.Helper()
	sum := sha256.Sum256([]byte("what is released"))
	r := timestamp.Request{Version: 1, CertReq: true}
	r.Imprint.Hash.Algorithm, r.Imprint.Digest = cms.HashID(crypto.SHA256), sum[:]
	query, err := asn1.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return g.Send(token, http.MethodPost, "/v1/tsa", query, "Content-Type", timestamp.QueryType)
}

// TestStampsWhileTheCertificateIsValid and not before or after that, which the authority and /readyz say.
func TestStampsWhileTheCertificateIsValid(t *testing.T) {
	g := gatewaytest.New(t)
	from := g.Now().Add(time.Hour).Truncate(time.Second)
	serveStamps(t, g, from, from.Add(time.Hour))
	for i, valid := range []bool{false, true, false} {
		if i > 0 {
			g.Advance(time.Hour + time.Minute)
		}
		a := stamp(t, g, g.Admin.Token)
		if a.Status != http.StatusOK || valid == bytes.Contains(a.Body, []byte("the certificate of CN=stamps is valid from "+from.UTC().Format(time.RFC3339))) {
			t.Errorf("%s: %d %q", g.Now(), a.Status, a.Body)
		}
		ready := string(g.Send("", http.MethodGet, "/readyz", nil).Body)
		if !strings.Contains(ready, "timestamp authority") || valid == strings.Contains(ready, "a certificate of it is not valid now") || strings.Contains(ready, "CN=stamps") {
			t.Error(ready)
		}
		records := g.Records()
		if last := records[len(records)-1]; last.Operation != "Timestamp" || valid != (last.Outcome == "allowed") || valid != (last.SignatureHash != "") {
			t.Errorf("%+v", last)
		}
	}
}

// TestStrangersStampByAPolicyForEverybody alone: a statement for everybody of an account is not for them.
func TestStrangersStampByAPolicyForEverybody(t *testing.T) {
	g := gatewaytest.New(t)
	key := serveStamps(t, g, g.Now().Add(-time.Hour), g.Now().Add(time.Hour))
	const account = gatewaytest.Account
	for statement, status := range map[string]int{
		`"Principal":{"AWS":"` + account + `"}`:                                                            http.StatusForbidden,
		`"Principal":"*","Condition":{"StringEquals":{"kms:CallerAccount":"` + account + `"}}`:             http.StatusForbidden,
		`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"` + account + `"}}`:          http.StatusForbidden,
		`"Principal":"*","Condition":{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::` + account + `:*"}}`: http.StatusForbidden,
		`"Principal":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::` + account + `:*"}}`:    http.StatusForbidden,
		`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalType":["User","Account"]}}`:            http.StatusForbidden,
		`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalType":"Anonymous"}}`:                   http.StatusOK,
		`"Principal":"*"`: http.StatusOK,
	} {
		g.Call(http.MethodPut, "/v1/keys/"+key+"/policy", api.PutKeyPolicyRequest{Policy: `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":["kms:*","hsmgate:*"],"Resource":"*"},
			{"Effect":"Allow","Action":["kms:*","hsmgate:*"],"Resource":"*",` + statement + `}]}`}, nil)
		if a := stamp(t, g, ""); a.Status != status {
			t.Errorf("%s: a stranger gets %d %s", statement, a.Status, a.Code())
		}
		if a := stamp(t, g, g.Admin.Token); a.Status != http.StatusOK {
			t.Errorf("%s: an administrator gets %d %s", statement, a.Status, a.Body)
		}
	}
}
