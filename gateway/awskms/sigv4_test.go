package awskms

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const (
	region   = "eu-central-1"
	mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	badKey   = "The security token included in the request is invalid."
)

// noon is the time of every test here.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// caller is an access key of a handler.
type caller struct {
	*handler
	id, secret, arn string
}

func newCaller(t testing.TB) *caller {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, filepath.Join(t.TempDir(), "hsmgate.db"), "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	identities, err := identity.New(s, make([]byte, identity.SealKeySize), "111122223333")
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{Identities: identities, Regions: []string{region}, Now: func() time.Time { return noon }}).(*handler)
	p, err := identities.CreatePrincipal(ctx, "release", policy.RoleAdministrator, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	id, secret, err := identities.IssueAccessKey(ctx, p.ARN, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{h, id, secret, p.ARN}
}

// signing is how a test request differs from a good one.
type signing struct {
	id, secret, region, service string
	at                          time.Time
	body                        string
	headers                     []string // name, value, …: signed
}

func newRequest(body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8080/", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	return r
}

// request makes a request that is signed by the SDK's signer.
func (c *caller) request(s signing) *http.Request {
	r := newRequest(s.body)
	for i := 0; i < len(s.headers); i += 2 {
		r.Header.Add(s.headers[i], s.headers[i+1])
	}
	credentials := aws.Credentials{AccessKeyID: or(s.id, c.id), SecretAccessKey: or(s.secret, c.secret)}
	if s.at.IsZero() {
		s.at = noon
	}
	sum := sha256.Sum256([]byte(s.body))
	err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), or(s.service, "kms"), or(s.region, region), s.at)
	if err != nil {
		panic(err)
	}
	return r
}

func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}

func TestAuthenticate(t *testing.T) {
	c := newCaller(t)
	for name, s := range map[string]signing{
		"bare":               {},
		"with a body":        {body: `{"Limit":5}`}, // the signer then signs content-length, too
		"five minutes ago":   {at: noon.Add(-maxSkew)},
		"five minutes ahead": {at: noon.Add(maxSkew)},
		"more headers":       {headers: []string{"Amz-Sdk-Invocation-Id", "x", "Amz-Sdk-Request", "attempt=1; max=3"}},
		"spaces in a value":  {headers: []string{"X-Amz-User-Agent", "  a   b  c "}},
		"a header twice":     {headers: []string{"X-Other", "a", "X-Other", "b"}},
		"Date besides":       {headers: []string{"Date", "Mon, 23 Nov 2026 12:00:00 GMT"}},
		"hash of the body":   {body: "{}", headers: []string{"X-Amz-Content-Sha256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, refused := c.authenticate(c.request(s), []byte(s.body), service)
			if refused != nil {
				t.Fatalf("refused: %s: %v", refused.reason, refused.Error)
			}
			if p.ARN != c.arn {
				t.Errorf("principal %q", p.ARN)
			}
		})
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	c := newCaller(t)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	add := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(name, value) }
	}
	auth := func(old, changed string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, changed, 1))
		}
	}
	unsign := func(name string) func(*http.Request) { return auth(name+";", "") }
	both := func(fs ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, f := range fs {
				f(r)
			}
		}
	}
	query := func(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }
	for name, x := range map[string]struct {
		signing
		change  func(*http.Request)
		reason  string
		code    api.Code
		message string // that the answer begins with
	}{
		"no header":     {change: func(r *http.Request) { r.Header.Del("Authorization") }, reason: reasonMissing, code: api.MissingAuthentication, message: "Missing Authentication Token"},
		"empty header":  {change: set("Authorization", ""), reason: reasonMissing, code: api.MissingAuthentication, message: "Missing Authentication Token"},
		"two headers":   {change: add("Authorization", good), reason: reasonMalformed, code: api.IncompleteSignature, message: "Header 'Authorization' stands in the request more than once."},
		"bearer token":  {change: set("Authorization", "Bearer x"), reason: reasonMalformed, code: api.IncompleteSignature, message: "Authorization header requires 'Credential'"},
		"presigned":     {change: both(query("X-Amz-Signature=00"), func(r *http.Request) { r.Header.Del("Authorization") }), reason: reasonMalformed, code: api.IncompleteSignature, message: "This gateway takes no query string and no presigned URL"},
		"signed twice":  {change: query("X-Amz-Algorithm=AWS4-HMAC-SHA256"), reason: reasonMalformed, code: api.InvalidSignature, message: "A request is signed in its query string or in its Authorization header"},
		"query string":  {change: query("a=b"), reason: reasonMalformed, code: api.IncompleteSignature, message: "This gateway takes no query string"},
		"no date":       {change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, reason: reasonMalformed, code: api.IncompleteSignature, message: "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		"Date alone":    {change: both(set("Date", noon.Format(http.TimeFormat)), func(r *http.Request) { r.Header.Del("X-Amz-Date") }), reason: reasonMalformed, code: api.IncompleteSignature, message: "This gateway wants the date"},
		"two dates":     {change: add("X-Amz-Date", "20261123T120000Z"), reason: reasonMalformed, code: api.IncompleteSignature, message: "Header 'X-Amz-Date' stands"},
		"other format":  {change: set("X-Amz-Date", noon.Format(time.RFC3339)), reason: reasonMalformed, code: api.IncompleteSignature, message: "Date must be in ISO-8601 'basic format'"},
		"fraction":      {change: set("X-Amz-Date", "20261123T120000.5Z"), reason: reasonMalformed, code: api.IncompleteSignature, message: "Date must be in ISO-8601 'basic format'"},
		"no such day":   {change: set("X-Amz-Date", "20261131T120000Z"), reason: reasonMalformed, code: api.IncompleteSignature, message: "Date must be in ISO-8601 'basic format'"},
		"session token": {signing: signing{headers: []string{"X-Amz-Security-Token", "x"}}, reason: reasonSessionToken, code: api.UnrecognizedClient, message: badKey},

		"other region":     {signing: signing{region: "us-east-1"}, reason: reasonScope, code: api.InvalidSignature, message: "Credential should be scoped to a valid Region, not 'us-east-1'. "},
		"other service":    {signing: signing{service: "s3"}, reason: reasonScope, code: api.InvalidSignature, message: "Credential should be scoped to correct service: 'kms'. "},
		"other terminator": {change: auth("aws4_request", "aws5_request"), reason: reasonScope, code: api.InvalidSignature, message: "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		"other day": {change: auth("20261123", "20261122"), reason: reasonScope, code: api.InvalidSignature,
			message: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261122' != '20261123', from '20261123T120000Z'."},

		"too old": {signing: signing{at: noon.Add(-maxSkew - time.Second)}, reason: reasonClock, code: api.InvalidSignature,
			message: "Signature expired: 20261123T115459Z is now earlier than 20261123T115500Z (20261123T120000Z - 5 min.)"},
		"too new": {signing: signing{at: noon.Add(maxSkew + time.Second)}, reason: reasonClock, code: api.InvalidSignature,
			message: "Signature not yet current: 20261123T120501Z is still later than 20261123T120500Z (20261123T120000Z + 5 min.)"},

		"host not signed":     {change: unsign("host"), reason: reasonMalformed, code: api.InvalidSignature, message: "'Host' must be a 'SignedHeader' in the AWS Authorization."},
		"date not signed":     {change: unsign("x-amz-date"), reason: reasonMalformed, code: api.InvalidSignature, message: "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."},
		"target not signed":   {change: auth(";x-amz-target", ""), reason: reasonMalformed, code: api.InvalidSignature, message: "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		"two targets":         {change: add("X-Amz-Target", "TrentService.Sign"), reason: reasonMalformed, code: api.IncompleteSignature, message: "Header 'X-Amz-Target' stands"},
		"two content types":   {change: add("Content-Type", "text/plain"), reason: reasonMalformed, code: api.IncompleteSignature, message: "Header 'Content-Type' stands"},
		"two security tokens": {change: both(add("X-Amz-Security-Token", ""), add("X-Amz-Security-Token", "a")), reason: reasonMalformed, code: api.IncompleteSignature, message: "Header 'X-Amz-Security-Token' stands"},

		"unknown key":   {signing: signing{id: "AKIAAAAAAAAAAAAAAAAA"}, reason: reasonUnknownKey, code: api.UnrecognizedClient, message: badKey},
		"wrong secret":  {signing: signing{secret: "x"}, reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"signature cut": {change: func(r *http.Request) { h := r.Header.Get("Authorization"); r.Header.Set("Authorization", h[:len(h)-1]) }, reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"signature upper case": {change: func(r *http.Request) {
			a, s, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature="+strings.ToUpper(s))
		}, reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"other host":            {change: func(r *http.Request) { r.Host = "127.0.0.1:8081" }, reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"other target":          {change: set("X-Amz-Target", "TrentService.Sign"), reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"other signed type":     {change: set("Content-Type", "application/json"), reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"other method":          {change: func(r *http.Request) { r.Method = "PUT" }, reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"moved in time":         {change: set("X-Amz-Date", "20261123T120001Z"), reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"signed header gone":    {signing: signing{headers: []string{"X-Other", "a"}}, change: func(r *http.Request) { r.Header.Del("X-Other") }, reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"signed header changed": {signing: signing{headers: []string{"X-Other", "a"}}, change: set("X-Other", "b"), reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"signed header twice":   {signing: signing{headers: []string{"X-Other", "a"}}, change: add("X-Other", "b"), reason: reasonSignature, code: api.InvalidSignature, message: mismatch},
		"content type unlisted": {change: unsign("content-type"), reason: reasonSignature, code: api.InvalidSignature, message: mismatch},

		"unsigned body":      {signing: signing{headers: []string{"X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"}}, reason: reasonSignature, code: api.InvalidSignature, message: "X-Amz-Content-Sha256 is not the SHA-256 of the body."},
		"streamed body":      {signing: signing{headers: []string{"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}}, reason: reasonSignature, code: api.InvalidSignature, message: "X-Amz-Content-Sha256 is not the SHA-256 of the body."},
		"other body's hash":  {signing: signing{body: "{}", headers: []string{"X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}, reason: reasonSignature, code: api.InvalidSignature, message: "X-Amz-Content-Sha256 is not the SHA-256 of the body."},
		"unsigned body hash": {change: set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), reason: reasonSignature, code: api.InvalidSignature, message: "X-Amz-Content-Sha256 is not the SHA-256 of the body."},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.request(x.signing)
			if x.change != nil {
				x.change(r)
			}
			p, _, refused := c.authenticate(r, []byte(x.body), service)
			if refused == nil {
				t.Fatal("accepted")
			}
			if refused.reason != x.reason || refused.Code != x.code || !strings.HasPrefix(refused.Message, x.message) {
				t.Errorf("%s: %v, want %s: %s: %s", refused.reason, refused.Error, x.reason, x.code, x.message)
			}
			if p.ARN != "" {
				t.Errorf("a principal all the same: %s", p.ARN)
			}
		})
	}
}

func TestAuthenticateCoversTheBody(t *testing.T) {
	c := newCaller(t)
	for _, other := range []string{"", "{}", `{"Limit":6}`, `{"Limit":5} `} {
		_, _, refused := c.authenticate(c.request(signing{body: `{"Limit":5}`}), []byte(other), service)
		if refused == nil || refused.Message != mismatch {
			t.Errorf("body %q in place of the signed one: %v", other, refused)
		}
	}
}

// A key that is disabled, expired or gone is answered like one that never was,
// and serves again when it is enabled: nothing of the decoy stays behind.
func TestUnusableAccessKeys(t *testing.T) {
	c, ctx := newCaller(t), context.Background()
	check := func(what string, s signing, reason string) {
		t.Helper()
		_, _, refused := c.authenticate(c.request(s), nil, service)
		switch {
		case reason == "" && refused != nil:
			t.Errorf("%s: %s", what, refused.reason)
		case reason != "" && (refused == nil || refused.reason != reason):
			t.Errorf("%s: %+v, want %s", what, refused, reason)
		case reason != "" && reason != reasonSignature && refused.Error.Error() != "UnrecognizedClientException: "+badKey:
			t.Errorf("%s: the caller is told %v", what, refused.Error)
		}
	}
	check("fresh", signing{}, "")
	if err := c.Identities.DisableAccessKey(ctx, c.id); err != nil {
		t.Fatal(err)
	}
	check("disabled", signing{}, reasonDisabledKey)
	check("disabled, signed with the decoy", signing{secret: c.decoySecret}, reasonDisabledKey)
	if err := c.Identities.EnableAccessKey(ctx, c.id); err != nil {
		t.Fatal(err)
	}
	check("enabled again", signing{}, "")
	check("enabled again, signed with the decoy", signing{secret: c.decoySecret}, reasonSignature)

	id, secret, err := c.Identities.IssueAccessKey(ctx, c.arn, time.Hour, noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	check("expired", signing{id: id, secret: secret}, reasonExpiredKey)
	if err := c.Identities.DeleteAccessKey(ctx, c.id); err != nil {
		t.Fatal(err)
	}
	check("deleted", signing{}, reasonUnknownKey)
}

// The vectors post-vanilla and post-x-www-form-urlencoded of AWS's Signature
// Version 4 test suite.
func TestSignatureVectors(t *testing.T) {
	for name, v := range map[string]struct{ body, contentType, signedHeaders, want string }{
		"post-vanilla": {"", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"post-x-www-form-urlencoded": {"Param1=value1", "application/x-www-form-urlencoded", "content-type;host;x-amz-date",
			"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		r := newRequest(v.body)
		r.Host = "example.amazonaws.com"
		r.Header.Set("Content-Type", v.contentType)
		a := authorization{accessKey: "AKIDEXAMPLE", region: "us-east-1", service: "service", signedHeaders: strings.Split(v.signedHeaders, ";")}
		sum := sha256.Sum256([]byte(v.body))
		got := signature(r, a, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", hex.EncodeToString(sum[:]), int64(len(v.body)))
		if got != v.want {
			t.Errorf("%s: %s, want %s", name, got, v.want)
		}
	}
}

// Clients choose which headers they sign. Each choice is computed here anew,
// without the SDK: also the headers that its signer would leave out.
func TestAuthenticateAnySignedHeaders(t *testing.T) {
	c := newCaller(t)
	for _, list := range []string{
		"host;x-amz-date;x-amz-target", // the PHP SDK: no content-type
		"content-type;host;x-amz-date;x-amz-target",
		"content-length;content-type;host;x-amz-date;x-amz-target",
		"accept-encoding;content-type;host;user-agent;x-amz-date;x-amz-target",
		"content-type;expect;host;x-amz-date;x-amz-target;x-amzn-trace-id",
		"amz-sdk-invocation-id;connection;host;x-amz-content-sha256;x-amz-date;x-amz-target;x-amz-user-agent",
	} {
		t.Run(list, func(t *testing.T) {
			body := []byte(`{"Limit":5}`)
			r := newRequest(string(body))
			for _, name := range []string{"Accept-Encoding", "Amz-Sdk-Invocation-Id", "Connection", "Expect", "User-Agent", "X-Amz-User-Agent", "X-Amzn-Trace-Id"} {
				r.Header.Set(name, "value of "+name)
			}
			sum := sha256.Sum256(body)
			r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
			r.Header.Set("X-Amz-Date", noon.Format(dateFormat))
			r.Header.Set("Content-Length", "11")
			r.Header.Set("Authorization", signByHand(r, body, list, c.id, c.secret))
			if _, _, refused := c.authenticate(r, body, service); refused != nil {
				t.Fatalf("%s: %v", refused.reason, refused.Error)
			}
			for _, name := range strings.Split(list, ";") {
				if name == "host" || name == "x-amz-date" || name == "content-length" || name == "x-amz-content-sha256" {
					continue // each has its own test
				}
				changed := r.Clone(context.Background())
				changed.Header.Set(name, "other")
				if _, _, refused := c.authenticate(changed, body, service); refused == nil || refused.reason != reasonSignature {
					t.Errorf("%s was signed and changed: %+v", name, refused)
				}
			}
		})
	}
}

// signByHand is Signature Version 4 as the IAM user guide describes it.
func signByHand(r *http.Request, body []byte, signedHeaders, id, secret string) string {
	var canonical bytes.Buffer
	canonical.WriteString("POST\n/\n\n")
	for _, name := range strings.Split(signedHeaders, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical.WriteString(name + ":" + value + "\n")
	}
	sum := sha256.Sum256(body)
	canonical.WriteString("\n" + signedHeaders + "\n" + hex.EncodeToString(sum[:]))
	hash := sha256.Sum256(canonical.Bytes())
	date := r.Header.Get("X-Amz-Date")
	scope := date[:8] + "/" + region + "/kms/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	signed := mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
	return "AWS4-HMAC-SHA256 Credential=" + id + "/" + scope + ", SignedHeaders=" + signedHeaders + ", Signature=" + hex.EncodeToString(signed)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func BenchmarkAuthenticate(b *testing.B) {
	c := newCaller(b)
	body := []byte(`{"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab","Message":"` + strings.Repeat("A", 44) + `","MessageType":"DIGEST","SigningAlgorithm":"ECDSA_SHA_256"}`)
	s := signing{body: string(body), headers: []string{"Amz-Sdk-Invocation-Id", "11b0f3c4-3ef1-4b8c-a3b3-6f9ef8bb4f5f", "Amz-Sdk-Request", "attempt=1; max=3", "Accept-Encoding", "identity"}}
	for name, change := range map[string]signing{"known": {}, "unknown": {id: "AKIAAAAAAAAAAAAAAAAA"}, "wrong-secret": {secret: "x"}} {
		s.id, s.secret = change.id, change.secret
		r := c.request(s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, refused := c.authenticate(r, body, service); (refused == nil) != (name == "known") {
					b.Fatal(refused)
				}
			}
		})
	}
}

func BenchmarkDecodeSign(b *testing.B) {
	body := []byte(`{"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab","Message":"` + strings.Repeat("A", 44) + `","MessageType":"DIGEST","SigningAlgorithm":"ECDSA_SHA_256"}`)
	b.ReportAllocs()
	for b.Loop() {
		var in api.SignRequest
		if err := api.Decode(body, &in, false); err != nil {
			b.Fatal(err)
		}
	}
}
