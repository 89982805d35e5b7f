package awskms_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

const (
	roleARN    = "arn:aws:iam::" + gatewaytest.Account + ":role/deploy"
	sessionARN = "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/deploy/run-7"
	proofless  = "The web identity token that was passed is not one that this gateway accepts."
)

// cloud is a gateway that trusts an issuer of tokens, and has the role deploy.
type cloud struct {
	*gatewaytest.Gateway
	issuer *identitytest.Issuer
	t      testing.TB
}

func newCloud(t testing.TB, sessions gateway.Sessions) *cloud {
	t.Helper()
	issuer := identitytest.NewIssuer(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Sessions: sessions, Providers: []identity.Provider{{
		Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Session: "{run}", Tags: map[string]string{"branch": "branch"},
		Rules: []identity.ClaimRule{{Role: "deploy", Claims: map[string]string{"sub": "job"}}, {Role: "gone", Claims: map[string]string{"sub": "job"}}},
	}}})
	if _, err := g.Identities.CreateRole(t.Context(), "deploy", policy.RoleAdministrator, nil, g.Now()); err != nil {
		t.Fatal(err)
	}
	return &cloud{g, issuer, t}
}

// token is one of the issuer; more replaces its claims.
func (c *cloud) token(more map[string]any) string {
	claims := map[string]any{"iss": c.issuer.URL, "sub": "job", "aud": "hsmgate", "run": "run-7", "branch": "main",
		"iat": c.Now().Unix(), "exp": c.Now().Add(10 * time.Minute).Unix()}
	for name, value := range more {
		claims[name] = value
	}
	return c.issuer.Token(claims)
}

// signer is who signs a request, and for which service.
type signer struct{ id, secret, token, service, region string }

// reply is an answer of AWS STS, either kind of it.
type reply struct {
	status    int
	body      string
	requestID string
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestID string `xml:"RequestId"`
	Metadata  string `xml:"ResponseMetadata>RequestId"`

	Exchanged, Assumed struct {
		ID  string `xml:"AssumedRoleUser>AssumedRoleId"`
		ARN string `xml:"AssumedRoleUser>Arn"`
		credentials
		Provider, SubjectFromWebIdentityToken string
	}
	Token    credentials                           `xml:"GetSessionTokenResult"`
	Identity struct{ Arn, UserId, Account string } `xml:"GetCallerIdentityResult"`
}

type credentials struct {
	ID         string    `xml:"Credentials>AccessKeyId"`
	Secret     string    `xml:"Credentials>SecretAccessKey"`
	Session    string    `xml:"Credentials>SessionToken"`
	Expiration time.Time `xml:"Credentials>Expiration"`
}

func (c credentials) signer() *signer { return &signer{id: c.ID, secret: c.Secret, token: c.Session} }

// sts sends a request; a nil signer leaves it unsigned. parameters are name, value, …
func (c *cloud) sts(by *signer, action string, parameters ...string) reply {
	c.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2011-06-15"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	return c.send(by, form.Encode())
}

func (c *cloud) send(by *signer, body string, headers ...string) reply {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodPost, c.URL+"/", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if by != nil {
		sign(c.t, r, by, body, c.Now())
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	out := reply{status: answer.StatusCode, body: string(text), requestID: answer.Header.Get("x-amzn-RequestId")}
	text = []byte(strings.NewReplacer("AssumeRoleWithWebIdentityResult>", "Exchanged>", "AssumeRoleResult>", "Assumed>").Replace(string(text)))
	if err := xml.Unmarshal(text, &out); err != nil || answer.Header.Get("Content-Type") != "text/xml" || out.RequestID+out.Metadata != out.requestID {
		c.t.Errorf("%v: %s, request %s: %s", err, answer.Header.Get("Content-Type"), out.requestID, out.body)
	}
	return out
}

func sign(t testing.TB, r *http.Request, by *signer, body string, at time.Time) {
	t.Helper()
	service, region := by.service, by.region
	if service == "" {
		service = "sts"
	}
	if region == "" {
		region = gatewaytest.Region
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: by.id, SecretAccessKey: by.secret, SessionToken: by.token},
		r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
}

func (c *cloud) refused(r reply, status int, code, message string) {
	c.t.Helper()
	kind := "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	if r.status != status || r.Code != code || r.Type != kind || !strings.HasPrefix(r.Message, message) {
		c.t.Errorf("%d %s, want %d %s %s: %s", r.status, r.body, status, kind, code, message)
	}
}

func (c *cloud) exchange(more map[string]any, parameters ...string) reply {
	c.t.Helper()
	return c.sts(nil, "AssumeRoleWithWebIdentity", append([]string{"RoleArn", roleARN, "RoleSessionName", "mine", "WebIdentityToken", c.token(more)}, parameters...)...)
}

// exchanged is a session of the role.
func (c *cloud) exchanged(parameters ...string) credentials {
	c.t.Helper()
	r := c.exchange(nil, parameters...)
	if r.status != http.StatusOK {
		c.t.Fatalf("%d %s", r.status, r.body)
	}
	return r.Exchanged.credentials
}

func (c *cloud) admin() *signer {
	return &signer{id: c.Admin.AccessKeyID, secret: c.Admin.SecretAccessKey}
}

// listKeys is a call of AWS KMS.
func (c *cloud) listKeys(by *signer, change ...func(*http.Request)) (int, string) {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodPost, c.URL+"/", strings.NewReader("{}"))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	kms := *by
	kms.service = "kms"
	sign(c.t, r, &kms, "{}", c.Now())
	for _, f := range change {
		f(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func (c *cloud) mayList(by *signer) {
	c.t.Helper()
	if status, body := c.listKeys(by); status != http.StatusOK {
		c.t.Errorf("%d %s", status, body)
	}
}

func (c *cloud) mayNotList(by *signer, code string, change ...func(*http.Request)) {
	c.t.Helper()
	if status, body := c.listKeys(by, change...); status != http.StatusBadRequest || !strings.Contains(body, `"`+code+`"`) {
		c.t.Errorf("%d %s, want %s", status, body, code)
	}
}

// newRecords are those that do leaves.
func (c *cloud) newRecords(do func()) []audit.Record {
	before := len(c.Records())
	do()
	return c.Records()[before:]
}

func contents(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
