package formats

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

var testPolicy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}

// infoOID is id-ct-TSTInfo, after which the content stands.
var infoOID = []byte{0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04}

// newAuthority makes the gateway a timestamp authority, with a key of this spec whose certificate an authority issued.
func newAuthority(t *testing.T, spec api.KeySpec, public bool) *bench {
	t.Helper()
	b := newBench(t, gatewaytest.New(t), spec, "ca", "tsa", "release")
	b.key = "alias/release"
	b.hsmgate("certificate", "self-signed", "--key", "alias/ca", "--subject", "CN=Test CA", "--profile", "ca", "-o", "ca.pem")
	b.hsmgate("certificate", "csr", "--key", "alias/tsa", "--subject", "CN=Test TSA", "-o", "tsa.csr")
	b.hsmgate("certificate", "issue", "--key", "alias/ca", "--ca", "ca.pem", "--profile", "timestamping", "-o", "tsa.pem", "tsa.csr")
	text, err := os.ReadFile(b.path("tsa.pem"))
	b.ok(err)
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	b.ok(err)
	b.ok(timestamp.Suits(certificate))
	b.g.Service.ServeTimestamps(&gateway.Timestamps{
		Authority: timestamp.Authority{Certificates: []*x509.Certificate{certificate}, Policy: testPolicy, Accuracy: 1500 * time.Millisecond},
		Key:       "alias/tsa", Public: public, Limit: gateway.Limit{RequestsPerSecond: 0.001, Burst: 3},
	})
	anyFile(b)
	return b
}

// ask sends a query to the authority.
func (b *bench) ask(token, contentType string, query []byte) (int, []byte) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.g.URL+"/v1/tsa", bytes.NewReader(query))
	b.ok(err)
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	b.ok(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	b.ok(err)
	return resp.StatusCode, answer
}

// query has OpenSSL make a request.
func (b *bench) query(args ...string) []byte {
	b.Helper()
	b.ok(b.run("openssl", append([]string{"ts", "-query", "-data", "app.tar.gz", "-out", "query.tsq"}, args...)...))
	query, err := os.ReadFile(b.path("query.tsq"))
	b.ok(err)
	return query
}

// TestFormatsTimestampAuthority has OpenSSL ask the gateway and judge its answers.
func TestFormatsTimestampAuthority(t *testing.T) {
	for _, spec := range []api.KeySpec{api.RSA2048, api.P256, api.P384, api.P521} {
		t.Run(string(spec), func(t *testing.T) {
			b := newAuthority(t, spec, false)
			for _, args := range [][]string{{"-sha256", "-cert"}, {"-sha384", "-cert"}, {"-sha512"}, {"-sha256", "-no_nonce", "-tspolicy", testPolicy.String()}} {
				query := b.query(args...)
				status, answer := b.ask(b.g.Admin.Token, timestamp.QueryType, query)
				if status != http.StatusOK {
					t.Fatalf("%v: %d\n%s", args, status, answer)
				}
				b.ok(os.WriteFile(b.path("answer.tsr"), answer, 0o600))
				verify := []string{"ts", "-verify", "-in", "answer.tsr", "-CAfile", "ca.pem", "-untrusted", "tsa.pem"}
				b.ok(b.run("openssl", append(verify, "-queryfile", "query.tsq")...))
				b.ok(b.run("openssl", append(verify, "-data", "app.tar.gz")...))
				for _, at := range []int{bytes.Index(answer, infoOID) + 40, len(answer) - 5} { // in what is signed, and in the signature
					changed := bytes.Clone(answer)
					changed[at] ^= 1
					b.ok(os.WriteFile(b.path("answer.tsr"), changed, 0o600))
					if err := b.run("openssl", append(verify, "-queryfile", "query.tsq")...); err == nil {
						t.Errorf("%v: an answer whose byte %d is changed is accepted", args, at)
					}
				}
			}
			all := b.g.Records()
			last := all[len(all)-1]
			if last.Operation != "Timestamp" || last.Outcome != "allowed" || !strings.HasPrefix(last.Digest, "sha256:") || last.SignatureHash == "" || last.KeyID == "" {
				t.Errorf("%+v", last)
			}
		})
	}
}

// TestFormatsTimestampRefusals: what is wrong with a request is said as RFC 3161 has it, and who may not ask is told by HTTP.
func TestFormatsTimestampRefusals(t *testing.T) {
	b := newAuthority(t, api.P256, false)
	good := b.query("-sha256", "-cert")
	for says, query := range map[string][]byte{
		"badAlg": b.query("-sha1"), "unacceptedPolicy": b.query("-sha256", "-tspolicy", "1.2.3.4"),
		"badDataFormat": good[:len(good)-1], "no TimeStampReq": nil, "in DER": bytes.Repeat(good, 1000),
	} {
		status, answer := b.ask(b.g.Admin.Token, timestamp.QueryType, query)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", says, status, answer)
		}
		b.ok(os.WriteFile(b.path("answer.tsr"), answer, 0o600))
		b.ok(b.run("sh", "-c", "openssl ts -reply -in answer.tsr -text >answer.txt"))
		text, err := os.ReadFile(b.path("answer.txt"))
		b.ok(err)
		if !strings.Contains(string(text), "Status: Rejected.") || !strings.Contains(string(text), strings.TrimPrefix(says, "bad")) && !strings.Contains(string(text), opensslSays[says]) {
			t.Errorf("%s: %s", says, text)
		}
	}
	if status, answer := b.ask("", timestamp.QueryType, good); status != http.StatusUnauthorized {
		t.Errorf("without a credential: %d %s", status, answer)
	}
	if status, answer := b.ask(b.g.Principal("reader", "user").Token, timestamp.QueryType, good); status != http.StatusForbidden {
		t.Errorf("without the permission: %d %s", status, answer)
	}
	if status, answer := b.ask(b.g.Admin.Token, "application/json", good); status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %d %s", status, answer)
	}
	b.g.Advance(time.Hour)
	if status, answer := b.ask(b.g.Admin.Token, timestamp.QueryType, good); status != http.StatusOK || bytes.Contains(answer, []byte("clock")) {
		t.Errorf("an hour later: %d %s", status, answer)
	}
	b.g.Advance(-time.Minute)
	if _, answer := b.ask(b.g.Admin.Token, timestamp.QueryType, good); !bytes.Contains(answer, []byte("the clock went back")) {
		t.Errorf("after the clock went back: %q", answer)
	}
}

// opensslSays is how it prints failures.
var opensslSays = map[string]string{
	"badAlg": "unrecognized or unsupported algorithm", "unacceptedPolicy": "policy is not supported", "badDataFormat": "wrong format",
}

// TestFormatsTimestampPublic: without a credential one is served if the settings and the key's policy say so, and no more often than that.
func TestFormatsTimestampPublic(t *testing.T) {
	b := newAuthority(t, api.P256, true)
	good := b.query("-sha256", "-cert")
	if status, answer := b.ask("", timestamp.QueryType, good); status != http.StatusForbidden {
		t.Errorf("not by the policy: %d %s", status, answer)
	}
	var key api.DescribeKeyResponse
	b.g.Call("GET", "/v1/keys/alias%2Ftsa", nil, &key)
	b.g.Call("PUT", "/v1/keys/"+key.KeyMetadata.KeyId+"/policy", api.PutKeyPolicyRequest{Policy: `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + gatewaytest.Account + `:root"},"Action":["kms:*","hsmgate:*"],"Resource":"*"},
		{"Sid":"anybody","Effect":"Allow","Principal":"*","Action":"hsmgate:Timestamp","Resource":"*"}]}`}, nil)
	if status, answer := b.ask("", timestamp.QueryType, good); status != http.StatusOK {
		t.Errorf("by the policy: %d %s", status, answer)
	}
	all := b.g.Records()
	if last := all[len(all)-1]; last.Principal != "arn:aws:iam::"+gatewaytest.Account+":anonymous" || last.Outcome != "allowed" || last.Reason != "key-policy/anybody" {
		t.Errorf("%+v", last)
	}
	if status, answer := b.ask("wrong", timestamp.QueryType, good); status != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d %s", status, answer)
	}
	b.ask("", timestamp.QueryType, good)
	if status, answer := b.ask("", timestamp.QueryType, good); status != http.StatusTooManyRequests {
		t.Errorf("over the limit: %d %s", status, answer)
	}
	if status, answer := b.ask(b.g.Admin.Token, timestamp.QueryType, good); status != http.StatusOK {
		t.Errorf("a principal over the limit of others: %d %s", status, answer)
	}
}

// TestFormatsTimestampClient stamps a file and a signature, by the second of two authorities, of which the first gives nothing good.
func TestFormatsTimestampClient(t *testing.T) {
	b := newAuthority(t, api.P256, false)
	other := newAuthority(t, api.P256, false)
	var asked []byte
	replay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // the answer to an earlier request
		query, err := io.ReadAll(r.Body)
		if err != nil || asked == nil {
			asked = query
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, answer := b.ask(b.g.Admin.Token, timestamp.QueryType, asked)
		_, _ = w.Write(answer)
	}))
	t.Cleanup(replay.Close)
	own := b.g.URL + "/v1/tsa"
	for _, first := range []string{"http://" + closedPort(t), replay.URL, replay.URL, b.g.URL + "/healthz"} {
		b.hsmgate("timestamp", "--timestamp-url", first, "--timestamp-url", own, "--timestamp-ca", "ca.pem", "app.tar.gz")
		b.ok(b.run("openssl", "ts", "-verify", "-data", "app.tar.gz", "-in", "app.tar.gz.tsr", "-CAfile", "ca.pem"))
		b.ok(os.Remove(b.path("app.tar.gz.tsr")))
	}
	b.refused(6, "nonce", "timestamp", "--timestamp-url", replay.URL, "app.tar.gz")
	b.write("other.pem", string(must(os.ReadFile(other.path("ca.pem")))))
	b.refused(6, "not trusted", "timestamp", "--timestamp-url", own, "--timestamp-ca", "other.pem", "app.tar.gz")
	b.refused(2, "--timestamp-url", "timestamp", "--timestamp-url", "ftp://example.org", "app.tar.gz")
	if _, err := os.Stat(b.path("app.tar.gz.tsr")); err == nil {
		t.Error("a refusal left a file")
	}
	b.signedAndStamped(own)
}

// TestFormatsTimestampCallers: the gateway's authority is asked with the caller's credential, of whatever kind it is, and
// its reason is told where it refuses.
func TestFormatsTimestampCallers(t *testing.T) {
	b := newAuthority(t, api.P256, false)
	own, closed := b.g.URL+"/v1/tsa", "http://"+closedPort(t)
	user := b.g.Principal("reader", "user")
	deny := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(deny.Close)
	as := func(env ...string) *bench {
		by := *b
		by.g, by.env = nil, append([]string{"HSMGATE_URL=" + b.g.URL, "HSMGATE_TOKEN=", "AWS_REGION=" + gatewaytest.Region, "AWS_CONFIG_FILE=none", "AWS_SHARED_CREDENTIALS_FILE=none"}, env...)
		return &by
	}
	key := as("AWS_ACCESS_KEY_ID="+b.g.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+b.g.Admin.SecretAccessKey)
	key.hsmgate("timestamp", "--timestamp-url", closed, "--timestamp-url", own, "--timestamp-ca", "ca.pem", "app.tar.gz")
	b.ok(b.run("openssl", "ts", "-verify", "-data", "app.tar.gz", "-in", "app.tar.gz.tsr", "-CAfile", "ca.pem"))
	all := b.g.Records()
	if last := all[len(all)-1]; last.Operation != "Timestamp" || last.Principal != b.g.Admin.ARN {
		t.Errorf("%+v", last)
	}
	b.ok(os.Remove(b.path("app.tar.gz.tsr")))
	key.signedAndStamped(own)
	as("AWS_ACCESS_KEY_ID="+b.g.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY=another").refused(3, "InvalidSignature", "timestamp", "--timestamp-url", own, "app.tar.gz")
	as("AWS_ACCESS_KEY_ID="+user.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+user.SecretAccessKey).refused(3, "hsmgate:Timestamp", "timestamp", "--timestamp-url", own, "app.tar.gz")
	as("HSMGATE_TOKEN="+user.Token).refused(3, "hsmgate:Timestamp", "timestamp", "--timestamp-url", own, "app.tar.gz")
	as("AWS_PROFILE=other").refused(2, "AWS_PROFILE", "timestamp", "--timestamp-url", own, "app.tar.gz")
	as("AWS_PROFILE=other").refused(3, "the authority answers 401", "timestamp", "--timestamp-url", deny.URL, "app.tar.gz")
	b.refused(3, "the authority answers 401", "timestamp", "--timestamp-url", deny.URL, "app.tar.gz")
	if _, err := os.Stat(b.path("app.tar.gz.tsr")); err == nil {
		t.Error("a refusal left a file")
	}
}

// signedAndStamped signs with a timestamp, which OpenSSL finds in the signature.
func (b *bench) signedAndStamped(own string) {
	b.Helper()
	selfSigned(b)
	b.hsmgate("sign", "--key", b.key, "--format", "cms", "--certificate", "release.pem", "app.tar.gz")
	stamped := []string{"sign", "--key", b.key, "--format", "cms", "--certificate", "release.pem", "--timestamp-url", own, "--timestamp-ca", "ca.pem", "--output", "json", "app.tar.gz"}
	for _, status := range []string{"signed", "already signed"} { // one without a timestamp is not what was asked for
		if out := b.hsmgate(stamped...); !strings.Contains(out, `"Status":"`+status+`"`) {
			b.Errorf("%s: %s", status, out)
		}
	}
	b.ok(b.run("openssl", "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", "-CAfile", "release.pem", "-out", "out", "-in", "app.tar.gz.p7s", "-content", "app.tar.gz"))
	b.ok(b.run("sh", "-c", "openssl cms -cmsout -print -inform DER -in app.tar.gz.p7s | grep -q id-smime-aa-timeStampToken"))
	if out := b.hsmgate("sign", "--key", b.key, "--format", "cms", "--certificate", "release.pem", "--output", "json", "app.tar.gz"); !strings.Contains(out, "already signed") {
		b.Error(out)
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}
