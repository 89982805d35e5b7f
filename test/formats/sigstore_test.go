package formats

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// plugin is the program under the name that Sigstore's programs call.
const plugin = "sigstore-kms-hsmgate"

// TestFormatsSigstorePlugin calls the plugin as Sigstore's client does, and has OpenSSL judge its signatures.
func TestFormatsSigstorePlugin(t *testing.T) {
	g := gatewaytest.New(t)
	for _, spec := range []api.KeySpec{api.P256, api.RSA2048} {
		t.Run(string(spec), func(t *testing.T) {
			b := pluginBench(t, g)
			made := b.plugin("createKey", fmt.Sprintf(`{"algorithm":%q}`, spec), "")
			public := b.plugin("publicKey", `{"publicKeyOptions":{"rpcOptions":{"keyVersion":"","remoteVerification":false}}}`, "")
			if made.Method.PublicKeyPEM == nil || !bytes.Equal(made.Method.PublicKeyPEM, public.Method.PublicKeyPEM) {
				t.Fatalf("the key that was made is not there: %+v %+v", made, public)
			}
			b.write("key.pem", string(public.Method.PublicKeyPEM))
			const message = "what is released\n"
			b.write("message", message)
			signed := b.plugin("signMessage", `{"signOptions":{"rpcOptions":{"keyVersion":""},"messageOptions":{"digest":null}}}`, message)
			b.write("signature", string(signed.Method.Signature))
			b.ok(b.run("openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"))

			digest := sha256.Sum256([]byte(message))
			records := g.Records()
			if last := records[len(records)-1]; last.MessageType != "DIGEST" || last.Digest != "sha256:"+hex.EncodeToString(digest[:]) {
				t.Errorf("more than the digest was sent: %+v", last)
			}
			for _, remote := range []string{"true", "false"} {
				text, _ := json.Marshal(signed.Method.Signature)
				ask := fmt.Sprintf(`{"signature":%s,"verifyOptions":{"rpcOptions":{"remoteVerification":%s},"messageOptions":{}}}`, text, remote)
				if a := b.plugin("verifySignature", ask, message); a.ErrorMessage != "" {
					t.Errorf("a good signature is refused (remote %s): %s", remote, a.ErrorMessage)
				}
				if a := b.plugin("verifySignature", ask, message+"!"); !strings.Contains(a.ErrorMessage, "ignature") {
					t.Errorf("a changed message is accepted (remote %s): %+v", remote, a)
				}
			}
		})
	}
}

// TestFormatsSigstorePluginRefuses: each mistake is told, in the answer, and makes nothing.
func TestFormatsSigstorePluginRefuses(t *testing.T) {
	g := gatewaytest.New(t)
	b := pluginBench(t, g)
	ed := g.CreateKey(api.Ed25519, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: ed.KeyId}, nil)
	for _, c := range []struct{ method, args, says string }{
		{"signMessage", `{"signOptions":{}}`, "Ed25519"},
		{"signMessage", `{"signOptions":{"messageOptions":{"hashFunc":3}}}`, "the hash 3 is none of"},
		{"signMessage", `{"signOptions":{"rpcOptions":{"keyVersion":"7"}}}`, "version 7 is asked for"},
		{"signMessage", `{"signOptions":{"rpcOptions":{"ctxDeadline":"2020-01-01T00:00:00Z"}}}`, "deadline"},
		{"createKey", `{"algorithm":"ECC_NIST_P256"}`, "no key was made"},
		{"createKey", `{"algorithm":"HMAC_256"}`, "a new key is one of"},
		{"sing", `{}`, `there is no method "sing"`},
		{"publicKey", `[]`, "cannot be read"},
	} {
		if a := b.plugin(c.method, c.args, "x"); !strings.Contains(a.ErrorMessage, c.says) {
			t.Errorf("%s %s: %q does not say %q", c.method, c.args, a.ErrorMessage, c.says)
		}
	}
	if out, err := b.named(plugin, nil, "", "v2", "{}"); err == nil || !strings.Contains(out, `"errorMessage":"the plugin protocol`) {
		t.Errorf("protocol v2: %v %s", err, out)
	}
}

// TestFormatsCosign has cosign sign by the plugin and by the AWS face, and verify.
func TestFormatsCosign(t *testing.T) {
	cosign := cached(t, "cosign")
	g := gatewaytest.New(t)
	for _, spec := range []api.KeySpec{api.P256, api.RSA2048} {
		for _, scheme := range []string{"hsmgate://", "awskms:///"} {
			t.Run(scheme+string(spec), func(t *testing.T) {
				b := pluginBench(t, g)
				key := g.CreateKey(spec, api.SignVerify)
				g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: key.KeyId}, nil)
				file := b.write("app.tar.gz", strings.Repeat("what is released\n", 200))
				b.hsmgate("key", "public-key", b.key, "--format", "pem", "-o", "key.pem")
				sign := []string{"sign-blob", "--yes", "--key", scheme + b.key, "--use-signing-config=false", "--tlog-upload=false", "--bundle", "app.bundle", file}
				if out, err := b.named(cosign, awsEnv(g), "", sign...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				verify := func(key string) error {
					out, err := b.named(cosign, awsEnv(g), "", "verify-blob", "--key", key, "--insecure-ignore-tlog", "--bundle", "app.bundle", file)
					if err == nil && !strings.Contains(out, "Verified OK") {
						err = errors.New(out)
					}
					return err
				}
				b.ok(verify("key.pem"))
				b.ok(verify(scheme + b.key))
				flip(b, file)
				if verify("key.pem") == nil || verify(scheme+b.key) == nil {
					t.Error("a changed file is accepted")
				}
			})
		}
	}
}

// pluginBench is a bench whose folder has the plugin, and whose alias is free.
func pluginBench(t *testing.T, g *gatewaytest.Gateway) *bench {
	b := &bench{T: t, dir: t.TempDir(), g: g}
	b.key = "alias/sigstore-" + filepath.Base(filepath.Dir(b.dir)) + "-" + filepath.Base(b.dir)
	b.ok(os.Symlink(program, b.path(plugin)))
	return b
}

// pluginAnswer is the answer to one call.
type pluginAnswer struct {
	ErrorMessage string
	Method       struct{ PublicKeyPEM, Signature []byte }
}

// plugin calls a method with its arguments in JSON, for the bench's key.
func (b *bench) plugin(method, args, input string) *pluginAnswer {
	b.Helper()
	call := fmt.Sprintf(`{"initOptions":{"protocolVersion":"v1","keyResourceID":%q,"hashFunc":5,"rpcOptions":{}},"methodName":%q,%q:%s}`, b.key, method, method, args)
	out, _ := b.named(plugin, nil, input, "v1", call) // its exit code is not looked at
	var a pluginAnswer
	object, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(strings.Replace(object, `{"`+method+`"`, `{"method"`, 1)), &a); err != nil {
		b.Fatalf("%s: %v: %s", method, err, out)
	}
	return &a
}

// named runs a program with the gateway's credentials in the environment, and the plugin in the PATH. It gives what was
// printed, errors last.
func (b *bench) named(name string, env []string, input string, args ...string) (string, error) {
	if name == plugin {
		name = b.path(plugin)
	}
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Dir, cmd.Stdin = b.dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), append(env, "HOME="+b.dir, "HSMGATE_URL="+b.g.URL, "HSMGATE_TOKEN="+b.g.Admin.Token, "PATH="+b.dir+":"+os.Getenv("PATH"))...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return out.String() + "\n" + errs.String(), err
}

// awsEnv are the settings of an AWS SDK.
func awsEnv(g *gatewaytest.Gateway) []string {
	return []string{"AWS_ENDPOINT_URL_KMS=" + g.URL, "AWS_ACCESS_KEY_ID=" + g.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + g.Admin.SecretAccessKey,
		"AWS_REGION=" + gatewaytest.Region, "AWS_EC2_METADATA_DISABLED=true"}
}

// cached finds a program in the PATH or where .ci/install-tools.sh puts those that it builds.
func cached(t *testing.T, name string) string {
	t.Helper()
	if found, err := exec.LookPath(name); err == nil {
		return found
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := exec.LookPath(filepath.Join(cache, "hsmgate", "bin", name))
	if err != nil {
		t.Skipf("NOT RUN: %s is not installed", name)
	}
	return found
}
