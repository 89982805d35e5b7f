package rest_test

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestSigV4 signs requests with the SDK's signer, and changes each thing that decides after that.
func TestSigV4(t *testing.T) {
	g := gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{"eu-west-1"}})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser)
	batchPath := "/v1/keys/" + key + "/sign-batch"
	const body = `{"Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	big := strings.Repeat(" ", 256<<10) + body
	batch := `{"SigningAlgorithm":"ECDSA_SHA_256","Items":[{"Message":"bQ=="}` + strings.Repeat(" ", 256<<10) + `]}`
	stated := func(body string) func(*http.Request) {
		sum := sha256.Sum256([]byte(body))
		return set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	}
	other := func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "bQ", "bg", 1)))
	}
	more := func(query string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery += query } }
	for name, x := range map[string]struct {
		by      gatewaytest.Credentials
		method  string
		path    string
		body    string
		service string
		hash    string                // that is signed; "" for the body's
		at      time.Duration         // from now
		before  func(r *http.Request) // it is signed
		after   func(r *http.Request)
		status  int
		code    api.Code
	}{
		"signed":                {status: 200},
		"with a region":         {before: set("Hsmgate-Region", gatewaytest.Region), status: 200},
		"a query":               {method: "GET", path: "/v1/aliases?Limit=5&KeyId=" + key, status: 200},
		"no access keys by one": {method: "POST", path: "/v1/access-keys", body: "{}", status: 403, code: api.AccessDenied},
		"no votes by one":       {method: "POST", path: "/v1/keys/" + key + "/approve", body: `{"ApprovalId":"0197f0a1-5a5e-7c3e-9d41-0a6f7f0f1a2b","Hash":"sha256:` + strings.Repeat("0", 64) + `"}`, status: 403, code: api.AccessDenied},
		"another principal":     {by: user, status: 403, code: api.AccessDenied}, // who has no policy
		"wrong secret":          {by: gatewaytest.Credentials{AccessKeyID: g.Admin.AccessKeyID, SecretAccessKey: "another"}, status: 401, code: api.InvalidSignature},
		"unknown key":           {by: gatewaytest.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "another"}, status: 401, code: api.UnrecognizedClient},
		"too old":               {at: -6 * time.Minute, status: 401, code: api.InvalidSignature},
		"too new":               {at: 6 * time.Minute, status: 401, code: api.InvalidSignature},
		"another service":       {service: "s3", status: 401, code: api.InvalidSignature},
		"another body":          {after: other, status: 401, code: api.InvalidSignature},
		"another path":          {after: func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "/sign", "/verify", 1) }, status: 401, code: api.InvalidSignature},
		"another query":         {after: func(r *http.Request) { r.URL.RawQuery = "DryRun=true" }, status: 401, code: api.InvalidSignature},
		"another type":          {after: set("Content-Type", "application/octet-stream"), status: 401, code: api.InvalidSignature},
		"a region after that":   {after: set("Hsmgate-Region", gatewaytest.Region), status: 401, code: api.InvalidSignature},
		"another region signed": {before: set("Hsmgate-Region", "eu-west-1"), status: 401, code: api.InvalidSignature},
		"an idempotency key":    {after: set("Idempotency-Key", "again"), status: 401, code: api.InvalidSignature},
		"a body's hash alone":   {after: set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), status: 401, code: api.InvalidSignature},
		"no signature":          {after: set("Authorization", "AWS4-HMAC-SHA256 Credential="+g.Admin.AccessKeyID), status: 401, code: api.IncompleteSignature},
		"too large":             {body: big, status: 413, code: api.RequestEntityTooLarge},
		"the hash stated":       {before: stated(body), status: 200},
		"that of another body":  {before: stated(body), after: other, status: 401, code: api.InvalidSignature},
		"stated, and too large": {body: big, before: stated(big), status: 413, code: api.RequestEntityTooLarge},
		"unsigned payload":      {before: set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), hash: "UNSIGNED-PAYLOAD", status: 401, code: api.InvalidSignature},
		"a large batch":         {path: batchPath, body: batch, before: stated(batch), status: 200},
		"one that states none":  {path: batchPath, body: batch, status: 413, code: api.RequestEntityTooLarge},
		"a semicolon":           {method: "GET", path: "/v1/aliases?Limit=5", after: more("&KeyId=" + key + ";"), status: 401, code: api.IncompleteSignature},
		"a percent":             {method: "GET", path: "/v1/aliases?Limit=5", after: more("&KeyId=%zz"), status: 401, code: api.IncompleteSignature},
	} {
		t.Run(name, func(t *testing.T) {
			by, method, path, text, service := x.by, x.method, x.path, x.body, x.service
			if by.AccessKeyID == "" {
				by = g.Admin
			}
			if text == "" && method == "" {
				text = body
			}
			if method == "" {
				method, path = "POST", cmp.Or(path, "/v1/keys/"+key+"/sign")
			}
			if service == "" {
				service = "kms"
			}
			r, err := http.NewRequest(method, g.URL+path, strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			if x.before != nil {
				x.before(r)
			}
			sum := sha256.Sum256([]byte(text))
			hash := cmp.Or(x.hash, hex.EncodeToString(sum[:]))
			if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: by.AccessKeyID, SecretAccessKey: by.SecretAccessKey}, r, hash, service, gatewaytest.Region, g.Now().Add(x.at)); err != nil {
				t.Fatal(err)
			}
			if x.after != nil {
				x.after(r)
			}
			before := len(g.Records())
			a := g.Do(g.Client(), r)
			if a.Status != x.status || a.Code() != string(x.code) {
				t.Fatalf("%d %s, want %d %s", a.Status, a.Body, x.status, x.code)
			}
			records := g.Records()
			if stranger := x.status == 401 || x.status == 413; stranger != (len(records) == before) {
				t.Errorf("%d records more", len(records)-before)
			} else if !stranger {
				if got := records[len(records)-1]; got.Principal != by.ARN || got.CredentialID != by.AccessKeyID || strings.HasPrefix(name, "no ") != (got.Reason == "access-key") {
					t.Errorf("recorded as %+v", got)
				}
			}
		})
	}
}

// TestStrangersBody announces bodies that never come: who proves nothing, or too little for a large body, is answered
// without.
func TestStrangersBody(t *testing.T) {
	g := gatewaytest.New(t)
	const path = "/v1/keys/x/sign-batch"
	hash := strings.Repeat("0", 64)
	head := func(by gatewaytest.Credentials, stated string, at time.Time) string {
		r, err := http.NewRequest(http.MethodPost, g.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 4 << 20
		r.Header.Set("Content-Type", "application/json")
		if stated != "" {
			r.Header.Set("X-Amz-Content-Sha256", stated)
		}
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: by.AccessKeyID, SecretAccessKey: by.SecretAccessKey}, r, hash, "kms", gatewaytest.Region, at); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := r.Header.Write(&text); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	wrong := gatewaytest.Credentials{AccessKeyID: g.Admin.AccessKeyID, SecretAccessKey: "another"}
	unknown := gatewaytest.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "another"}
	for name, x := range map[string]struct {
		head   string
		status int
		reason string
		key    string
	}{
		"nothing":             {"Authorization: AWS4-HMAC-SHA256 x\r\n", 401, "malformed", ""},
		"an unknown key":      {head(unknown, "", g.Now()), 401, "unknown_key", unknown.AccessKeyID},
		"unknown, and a hash": {head(unknown, hash, g.Now()), 401, "unknown_key", unknown.AccessKeyID},
		"a wrong secret":      {head(wrong, hash, g.Now()), 401, "wrong_signature", wrong.AccessKeyID},
		"another day":         {head(g.Admin, "", g.Now().Add(-24*time.Hour)), 401, "clock", g.Admin.AccessKeyID},
		"no hash":             {head(g.Admin, "", g.Now()), 413, "body", g.Admin.AccessKeyID},
	} {
		t.Run(name, func(t *testing.T) {
			before := g.Lines.FilterMessage("not authenticated").Len()
			c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n", path, strings.TrimPrefix(g.URL, "http://"), 4<<20, x.head); err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Body.Close() }()
			if r.StatusCode != x.status || strings.Join(r.Header.Values("WWW-Authenticate"), ", ") != "Bearer, AWS4-HMAC-SHA256" {
				t.Errorf("%d %v", r.StatusCode, r.Header)
			}
			lines := g.Lines.FilterMessage("not authenticated").All()
			if len(lines) != before+1 {
				t.Fatalf("%d lines, not one more than %d", len(lines), before)
			}
			if of := lines[before].ContextMap(); of["reason"] != x.reason || of["accessKeyId"] != x.key {
				t.Errorf("%v", of)
			}
		})
	}
}
