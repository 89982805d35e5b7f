package awskms_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestCertificatesBesideSignatures: a certificate alone is nobody here; conditions
// ask for it, and one that is revoked ends the calls of its connection.
func TestCertificatesBesideSignatures(t *testing.T) {
	t.Parallel()
	ca, lists := identitytest.NewCA(t, "CA"), filepath.Join(t.TempDir(), "clients.crl")
	publish := func() {
		t.Helper()
		if err := os.WriteFile(lists, ca.CRL(time.Now().Add(time.Hour)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Certificates: identity.ClientCertificates{
		CAFile: ca.File, CRLFile: lists, Rules: []identity.CertificateRule{{Role: "release", Subject: "CN=*"}}}})
	if _, err := g.Identities.CreateRole(t.Context(), "release", policy.RoleAdministrator, nil, g.Now()); err != nil {
		t.Fatal(err)
	}
	user := g.Principal("user", policy.RoleUser)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + gatewaytest.Account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + user.ARN + `"},"Action":"kms:Sign","Resource":"*",
		 "Condition":{"ForAnyValue:StringEquals":{"hsmgate:CertificateSAN":"dns:builder.example.com"}}}]}`}, nil)
	ask := func(c *http.Client, signed bool) (int, string) {
		t.Helper()
		body := `{"KeyId":"` + key + `","Message":"aGVsbG8=","SigningAlgorithm":"ECDSA_SHA_256"}`
		r, err := http.NewRequest(http.MethodPost, g.URL+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", json11)
		r.Header.Set("X-Amz-Target", "TrentService.Sign")
		if signed {
			sum := sha256.Sum256([]byte(body))
			credentials := aws.Credentials{AccessKeyID: user.AccessKeyID, SecretAccessKey: user.SecretAccessKey}
			if err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "kms", gatewaytest.Region, g.Now()); err != nil {
				t.Fatal(err)
			}
		}
		a := g.Do(c, r)
		return a.Status, string(a.Body)
	}
	issue := func(dns string) tls.Certificate {
		return ca.Issue(func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{CommonName: "builder"}, []string{dns} })
	}
	check := func(c *http.Client, signed bool, status int, want string) {
		t.Helper()
		if got, body := ask(c, signed); got != status || !strings.Contains(body, want) {
			t.Errorf("%d %s, want %d %s", got, body, status, want)
		}
	}
	stolen := issue("builder.example.com")
	builder := g.Client(stolen)
	check(builder, true, http.StatusOK, "Signature")
	check(builder, false, http.StatusBadRequest, "MissingAuthenticationToken")
	check(g.Client(), true, http.StatusBadRequest, "AccessDenied")
	check(g.Client(issue("other.example.com")), true, http.StatusBadRequest, "AccessDenied")
	ca.Revoke(stolen)
	publish()
	check(builder, true, http.StatusBadRequest, "UnrecognizedClient")
}
