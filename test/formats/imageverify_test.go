package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// verdict is what the program says without a gateway.
type verdict struct {
	code                int
	errs                string
	Image, Format       string
	Signature, Tag      string
	Status, Error, text string
}

func (b *bench) judge(args ...string) (v verdict) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, append([]string{"image", "verify", "--output", "json"}, args...)...)
	cmd.Dir, cmd.Env = b.dir, []string{"HOME=" + b.dir}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		v.code, err = exit.ExitCode(), nil
	}
	b.ok(err)
	if v.errs, v.text = errs.String(), string(out); len(out) > 0 {
		b.ok(json.Unmarshal(out, &v))
	}
	return v
}

// TestImageVerify has the program judge what it signs, in each way, and tell apart why it refuses the rest. No other tool is needed.
func TestImageVerify(t *testing.T) {
	g := gatewaytest.New(t)
	var lies atomic.Value // the end of a path that is answered with something else
	lies.Store("")
	inner := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if end := lies.Load().(string); end != "" && strings.HasSuffix(r.URL.Path, end) {
			_, _ = io.WriteString(w, "{}")
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	b := &bench{T: t, dir: t.TempDir(), g: g}
	b.key = g.CreateKey(api.P256, api.SignVerify).KeyId
	trustIssued(b)
	pem, err := exec.Command("openssl", "pkey", "-pubin", "-in", b.path("key.pem")).Output() // in OpenSSL's own words
	b.ok(err)
	b.write("own.pem", string(pem))
	b.write("other.pem", b.hsmgate("key", "public-key", g.CreateKey(api.P256, api.SignVerify).KeyId, "--format", "pem"))
	b.write("keys.jwks", b.hsmgate("key", "public-key", b.key, "--format", "jwks"))
	host := strings.TrimPrefix(server.URL, "http://")
	says := func(v verdict, code int, status, words string) {
		t.Helper()
		if v.code != code || v.Status != status || !strings.Contains(v.errs, words) || (v.Error == "") != (status == "good" || status == "") || strings.Contains(v.errs, "panic") {
			t.Errorf("exit code %d, %q, %q; want %d, %q, %q", v.code, v.Status, v.errs, code, status, words)
		}
	}
	chain, err := os.ReadFile(b.path("chain.pem"))
	b.ok(err)
	b.write("ca.pem", strings.SplitAfter(string(chain), "-----END CERTIFICATE-----\n")[1])
	for _, w := range []struct{ name, verb, format string }{{"cosign", "sign", "cosign"}, {"bundle", "sign", "sigstore"}, {"notation", "sign", "notation"}, {"att", "attest", "cosign"}, {"attbundle", "attest", "sigstore"}} {
		ref := host + "/team/" + w.name + ":1.0"
		digest := pushImage(b, ref, w.name)
		sign, check := []string{"image", w.verb, "--key", b.key, "--format", w.format, ref}, []string{ref}
		switch {
		case w.verb == "attest":
			sign, check = append(sign, provenanceArgs...), append(check, "--type", "slsaprovenance1")
		case w.format == "notation":
			sign = append(sign, "--certificate", "chain.pem")
		}
		by := func(flags ...string) verdict { return b.judge(append(flags, check...)...) }
		says(by("--public-key", "own.pem"), 1, "not signed", "there is no signature of this format")
		b.hsmgate(sign...)
		for _, trust := range [][]string{{"--public-key", "own.pem"}, {"--jwks", "keys.jwks"}, {"--certificate", "chain.pem"}, {"--public-key", "own.pem", "--format", w.format}} {
			v := by(trust...)
			if says(v, 0, "good", ""); v.Image != host+"/team/"+w.name+"@"+digest.String() || v.Format != w.format || !strings.HasPrefix(v.Signature, host+"/team/"+w.name+"@sha256:") {
				t.Errorf("%+v", v)
			}
		}
		v := by("--public-key", "other.pem")
		if says(v, 1, "not good", "expected is ECDSA on P-256"); v.Format != w.format || v.Signature != "" {
			t.Errorf("%+v", v)
		}
		if v := by("--certificate", "ca.pem"); w.format == "notation" {
			says(v, 0, "good", "")
		} else if w.verb == "attest" {
			says(v, 2, "", "name the public key")
		} else {
			says(v, 1, "not signed", "notation")
		}
		if w.verb == "attest" {
			b.write("says.json", `{"a": 1}`)
			says(by("--public-key", "own.pem", "--predicate", "says.json"), 1, "not good", "it says something else")
			says(b.judge("--public-key", "own.pem", "--type", "cyclonedx", ref), 1, "not signed", "https://slsa.dev/provenance/v1")
			says(b.judge("--public-key", "own.pem", ref), 1, "not signed", "there is no signature of this format: ")
		}
		check[0] = host + "/team/" + w.name + "@" + digest.String()
		says(by("--public-key", "own.pem"), 0, "good", "")
		lies.Store(digest.String())
		says(by("--public-key", "own.pem"), 1, "not good", "has another digest")
		lies.Store("")
		says(b.judge("--public-key", "own.pem", host+"/team/"+w.name+"@sha256:"+strings.Repeat("0", 64)), 4, "", "the registry has no such image")
	}
	ref := host + "/team/cosign:1.0"
	for words, args := range map[string][]string{
		"exactly one of --public-key":       {ref},
		"exactly one of --public-key, ":     {"--public-key", "own.pem", "--jwks", "keys.jwks", ref},
		"--format is cosign, sigstore or n": {"--public-key", "own.pem", "--format", "gpg", ref},
		"--format is cosign or sigstore, n": {"--public-key", "own.pem", "--format", "notation", "--type", "spdxjson", ref},
		"has no certificate with it":        {"--certificate", "ca.pem", "--format", "cosign", ref},
		"--predicate is of an attestation":  {"--public-key", "own.pem", "--predicate", "own.pem", ref},
		"--type is slsaprovenance1, ":       {"--public-key", "own.pem", "--type", "sbom", ref},
		"holds no JSON object":              {"--public-key", "own.pem", "--type", "spdxjson", "--predicate", "own.pem", ref},
		"it is no reference of an image":    {"--public-key", "own.pem", "UPPER:case:x"},
		"the reference of an image":         {"--public-key", "own.pem"},
	} {
		says(b.judge(args...), 2, "", words)
	}

	// A signature that cannot be read hides no other.
	tag, err := name.NewTag(strings.Replace(host+"/team/cosign:"+pushImage(b, ref, "cosign").String(), "sha256:", "sha256-", 1) + ".sig")
	b.ok(err)
	held, err := remote.Image(tag)
	b.ok(err)
	m, err := held.Manifest()
	b.ok(err)
	lies.Store(m.Layers[0].Digest.String())
	says(b.judge("--public-key", "own.pem", ref), 6, "", "hint: who may push there can remove it")
	b.hsmgate("image", "sign", "--key", b.key, "--format", "sigstore", ref)
	says(b.judge("--public-key", "own.pem", ref), 0, "good", "")

	server.Close()
	says(b.judge("--public-key", "own.pem", ref), 5, "", "can the registry be reached")
}

// TestFormatsCosignImages has cosign itself sign and attest images, and the program judge that.
func TestFormatsCosignImages(t *testing.T) {
	cosign := cached(t, "cosign")
	g := gatewaytest.New(t)
	for _, spec := range []api.KeySpec{api.P256, api.RSA2048} {
		for _, bundle := range []string{"true", "false"} {
			t.Run(string(spec)+"/"+bundle, func(t *testing.T) {
				b := pluginBench(t, g)
				key := g.CreateKey(spec, api.SignVerify)
				g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: key.KeyId}, nil)
				b.hsmgate("key", "public-key", b.key, "--format", "pem", "-o", "key.pem")
				b.write("predicate.json", `{"buildDefinition":{"buildType":"x","externalParameters":{}},"runDetails":{"builder":{"id":"x"}}}`)
				server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
				defer server.Close()
				ref := strings.TrimPrefix(server.URL, "http://") + "/team/app"
				ref += "@" + pushImage(b, ref+":1.0", "one").String()
				by := func(verb string, args ...string) {
					t.Helper()
					args = append([]string{verb, "--yes", "--key", "hsmgate://" + b.key, "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=" + bundle}, args...)
					if out, err := b.named(cosign, nil, "", append(args, ref)...); err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
				}
				good := func(format string, args ...string) {
					t.Helper()
					if v := b.judge(append(args, "--public-key", "key.pem", ref)...); v.Status != "good" || v.Format != format {
						t.Errorf("%+v", v)
					}
				}
				format := map[string]string{"true": "sigstore", "false": "cosign"}[bundle]
				by("sign")
				good(format)
				by("attest", "--type", "slsaprovenance1", "--predicate", "predicate.json")
				good(format, "--type", "slsaprovenance1")
				good(format)
			})
		}
	}
}
