package rest_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

func curl(t testing.TB, g *gatewaytest.Gateway, token, path string, args ...string) string {
	t.Helper()
	all := append([]string{"--silent", "--show-error", "--noproxy", "*", "-H", "Authorization: Bearer " + token}, args...)
	out, err := exec.CommandContext(t.Context(), "curl", append(all, g.URL+path)...).Output()
	if err != nil {
		t.Fatalf("curl %v: %v", args, err)
	}
	return string(out)
}

func publicKey(t testing.TB, g *gatewaytest.Gateway, key string) any {
	t.Helper()
	var out api.GetPublicKeyResponse
	g.Call("GET", "/v1/keys/"+key+"/public-key", nil, &out)
	pub, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// TestBigFileIsSignedInLittleMemory uploads 300 MB with curl -T. It does not run
// beside others, since it looks at what the process allocates.
func TestBigFileIsSignedInLittleMemory(t *testing.T) {
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	const size = 300 << 20
	path := filepath.Join(t.TempDir(), "package.deb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	signature := curl(t, g, g.Admin.Token, "/v1/keys/"+key+"/sign", "-T", path, "-H", "Accept: application/octet-stream")
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", used, size)
	}
	if !ecdsa.VerifyASN1(publicKey(t, g, key).(*ecdsa.PublicKey), hash.Sum(nil), []byte(signature)) {
		t.Errorf("the signature is not good: %q", signature)
	}
	records := outcomes(g)
	last := records[len(records)-2] // before GetPublicKey
	if last.Operation != "Sign" || last.Digest != "sha256:"+hex.EncodeToString(hash.Sum(nil)) || last.MessageType != "RAW" || last.Algorithm != "ECDSA_SHA_256" {
		t.Errorf("%+v", last)
	}
}

// TestFilesAreSignedBySigningKeys, and by no other.
func TestFilesAreSignedBySigningKeys(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for spec, usage := range map[api.KeySpec]api.KeyUsage{api.Symmetric: api.EncryptDecrypt, api.HMAC256: api.GenerateVerifyMac,
		api.RSA2048: api.EncryptDecrypt, api.P256: api.KeyAgreement} {
		a := g.Send(g.Admin.Token, "PUT", "/v1/keys/"+g.CreateKey(spec, usage).KeyId+"/sign", "a file")
		if a.Status != 400 || a.Code() != string(api.InvalidKeyUsage) || !strings.Contains(string(a.Body), "is not valid for Sign") {
			t.Errorf("%s: %d %s", spec, a.Status, a.Body)
		}
	}
}

// TestSignatureForms asks for each form of the answer.
func TestSignatureForms(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Ed25519, api.SignVerify).KeyId // deterministic: every form holds the same signature
	path := "/v1/keys/" + key + "/sign"
	want := g.Send(g.Admin.Token, "PUT", path, "a file", "Accept", "application/octet-stream").Body
	if !ed25519.Verify(publicKey(t, g, key).(ed25519.PublicKey), []byte("a file"), want) {
		t.Fatal("the signature is not good")
	}
	asJSON := func(b []byte) string {
		var out api.SignResponse
		if err := json.Unmarshal(b, &out); err != nil || out.SigningAlgorithm != api.Ed25519SHA512 || !strings.HasSuffix(out.KeyId, ":key/"+key) {
			t.Errorf("%s: %v", b, err)
		}
		return string(out.Signature)
	}
	asBase64 := func(b []byte) string {
		sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(string(b), "\n"))
		if err != nil {
			t.Error(err)
		}
		return string(sig)
	}
	asIs := func(b []byte) string { return string(b) }
	for accept, c := range map[string]struct {
		contentType string
		read        func([]byte) string
	}{
		"":                         {"application/json", asJSON},
		"*/*":                      {"application/json", asJSON},
		"application/json":         {"application/json", asJSON},
		"text/html, */*;q=0.1":     {"application/json", asJSON},
		"text/plain":               {"text/plain; charset=UTF-8", asBase64},
		"application/octet-stream": {"application/octet-stream", asIs},
		"image/png, application/octet-stream;q=0.5": {"application/octet-stream", asIs},
	} {
		for method, contentType := range map[string]string{"PUT": "", "POST": "application/octet-stream"} {
			a := g.Send(g.Admin.Token, method, path, "a file", "Accept", accept, "Content-Type", contentType)
			if a.Status != 200 || a.Header.Get("Content-Type") != c.contentType || c.read(a.Body) != string(want) {
				t.Errorf("%s, Accept %q: %d %s %q", method, accept, a.Status, a.Header.Get("Content-Type"), a.Body)
			}
		}
	}
}

// TestFormsAreNotFiles: what curl -d and -F send is hardly ever what is meant to
// be signed, and an answer in an unknown form is refused before anything is.
func TestFormsAreNotFiles(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	path := "/v1/keys/" + g.CreateKey(api.P256, api.SignVerify).KeyId + "/sign"
	for _, contentType := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "Application/X-WWW-Form-Urlencoded; charset=utf-8"} {
		a := g.Send(g.Admin.Token, "POST", path, `{"Message":"aGVsbG8="}`, "Content-Type", contentType)
		if a.Status != 415 || !strings.Contains(string(a.Body), "curl -T") {
			t.Errorf("%s: %d %s", contentType, a.Status, a.Body)
		}
	}
	a := g.Send(g.Admin.Token, "PUT", path, "a file", "Accept", "image/png")
	if a.Status != 406 || !strings.Contains(string(a.Body), "application/octet-stream") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, r := range g.Records() {
		if r.SignatureHash != "" {
			t.Errorf("something was signed: %+v", r)
		}
	}
}

// TestFileMembers: what a body of JSON holds stands in the query beside a file.
func TestFileMembers(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	rsa, ec, ed := g.CreateKey(api.RSA2048, api.SignVerify), g.CreateKey(api.P384, api.SignVerify), g.CreateKey(api.Ed25519, api.SignVerify)
	encrypting := g.CreateKey(api.RSA2048, api.EncryptDecrypt)
	sum256 := sha256.Sum256([]byte("x"))
	sum512 := sha512.Sum512([]byte("x"))
	for _, c := range []struct {
		key    *api.KeyMetadata
		query  string
		body   string
		status int
		text   string
	}{
		{rsa, "", "x", 200, `"RSASSA_PKCS1_V1_5_SHA_256"`},
		{rsa, "?SigningAlgorithm=RSASSA_PSS_SHA_512", "x", 200, `"RSASSA_PSS_SHA_512"`},
		{rsa, "?SigningAlgorithm=RSASSA_PSS_SHA_256&MessageType=DIGEST", string(sum256[:]), 200, `"RSASSA_PSS_SHA_256"`},
		{rsa, "?SigningAlgorithm=RSASSA_PSS_SHA_512&MessageType=DIGEST", string(sum512[:]), 200, ""},
		{rsa, "?SigningAlgorithm=RSASSA_PSS_SHA_512&MessageType=DIGEST", string(sum256[:]), 400, "Digest is invalid length"},
		{rsa, "?SigningAlgorithm=RSASSA_PSS_SHA_512&MessageType=DIGEST", strings.Repeat("x", 1<<20), 400, "Digest is invalid length"},
		{rsa, "?SigningAlgorithm=x", "x", 400, "enum value set"},
		{rsa, "?SigningAlgorithm=ECDSA_SHA_384", "x", 400, "incompatible with key spec RSA_2048"},
		{rsa, "?MessageType=x", "x", 400, "enum value set"},
		{rsa, "?MessageType=EXTERNAL_MU", "x", 400, "ML-DSA"},
		{rsa, "?DryRun=true", "x", 412, "The request would have succeeded"},
		{rsa, "?DryRun=1", "x", 400, "DryRun must be true or false"},
		{rsa, "?DryRun=false", "x", 200, ""},
		{rsa, "?Message=AAAA", "x", 400, "The message is the body"},
		{rsa, "?GrantTokens=a&GrantTokens=b", "x", 400, "No grant has this token"},
		{rsa, "?DryRun=true&DryRun=true", "x", 400, "DryRun stands in the query 2 times"},
		{rsa, "?Foo=a", "x", 400, "no member"},
		{rsa, "", "", 400, "The body is empty"},
		{ed, "", "", 400, "The body is empty"},
		{rsa, "?MessageType=DIGEST", "", 400, "The body is empty"},
		{ec, "", "x", 200, `"ECDSA_SHA_384"`},
		{ed, "", strings.Repeat("x", 4096), 200, `"ED25519_SHA_512"`},
		{ed, "", strings.Repeat("x", 4097), 400, "at most 4096 bytes"},
		{ed, "?MessageType=DIGEST", "x", 400, "requires MessageType RAW"},
		{encrypting, "", "x", 400, "key usage is ENCRYPT_DECRYPT which is not valid for Sign."},
	} {
		before := len(outcomes(g))
		a := g.Send(g.Admin.Token, "PUT", "/v1/keys/"+c.key.KeyId+"/sign"+c.query, c.body)
		if a.Status != c.status || !strings.Contains(string(a.Body), c.text) {
			t.Errorf("%s %s: %d %s", c.key.KeySpec, c.query, a.Status, a.Body)
		}
		if n := len(outcomes(g)) - before; n != 1 {
			t.Errorf("%s %s: %d records", c.key.KeySpec, c.query, n)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := curl(t, g, g.Admin.Token, "/v1/keys/"+rsa.KeyId+"/sign", "-T", empty); !strings.Contains(out, "The body is empty") {
		t.Error(out)
	}
}

// TestForbiddenFileIsNotRead: who may not sign is told before he uploads.
func TestForbiddenFileIsNotRead(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"403": user.Token, "401": "hsmgate_x"} {
		out := curl(t, g, token, "/v1/keys/"+key+"/sign", "-T", path, "-o", os.DevNull, "-w", "%{http_code} %{size_upload}")
		if out != name+" 0" {
			t.Errorf("status and uploaded bytes: %s", out)
		}
	}
	g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
	if out := curl(t, g, g.Admin.Token, "/v1/keys/"+key+"/sign", "-T", path, "-o", os.DevNull, "-w", "%{http_code} %{size_upload}"); out != "409 0" {
		t.Errorf("disabled: %s", out)
	}
}

// TestCallerWhoGoesAwayGetsNoSignature: half a file is not signed.
func TestCallerWhoGoesAwayGetsNoSignature(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for _, spec := range []api.KeySpec{api.P256, api.Ed25519} {
		key := g.CreateKey(spec, api.SignVerify).KeyId
		for name, head := range map[string]string{"length": "Content-Length: 4000\r\n\r\nhalf a file", "chunked": "Transfer-Encoding: chunked\r\n\r\nb\r\nhalf a file\r\n"} {
			before := len(outcomes(g))
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(g.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(c, "PUT /v1/keys/%s/sign HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s", key, g.Admin.Token, head)
			_ = c.(*net.TCPConn).CloseWrite()
			answer, _ := io.ReadAll(bufio.NewReader(c))
			_ = c.Close()
			for deadline := time.Now().Add(30 * time.Second); len(outcomes(g)) == before && time.Now().Before(deadline); {
				time.Sleep(2 * time.Millisecond)
			}
			records := outcomes(g)[before:]
			if len(records) != 1 || records[0].Operation != "Sign" || records[0].Outcome != "invalid" || records[0].SignatureHash != "" || records[0].KeyID != key {
				t.Errorf("%s %s: %+v", spec, name, records)
			}
			if strings.Contains(string(answer), "200 OK") {
				t.Errorf("%s %s: %s", spec, name, answer)
			}
		}
	}
}
