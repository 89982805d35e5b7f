package formats

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// documented are the commands in a text about images, attestations and tokens.
var documented = regexp.MustCompile(`(?m)^    ((?:hsmgate (?:image|attest|jwt)|hsmgate key public-key alias/(?:release --format pem|tokens)|cosign|notation) .*)$`)

// TestFormatsDocumented runs what docs/images.md and docs/formats.md say of images, attestations and tokens, in its order.
func TestFormatsDocumented(t *testing.T) {
	g := gatewaytest.New(t)
	b := &bench{T: t, dir: t.TempDir(), g: g, key: "alias/release"}
	key := g.CreateKey(api.P256, api.SignVerify)
	for _, alias := range []string{"alias/release", "alias/tokens"} {
		g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: key.KeyId}, nil)
	}
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	trustIssued(b)
	b.hsmgate("key", "publish", b.key, "--name", "release")
	b.ok(os.Mkdir(b.path("dist"), 0o755))
	b.write("dist/app.tar.gz", "what is released\n")
	b.write("bom.json", "{}")
	host := strings.TrimPrefix(server.URL, "http://")
	pushImage(b, host+"/team/app:1.2", "one")
	provenance := " --builder-id https://ci.example.org --source https://git.example.org/app --commit 0123456789abcdef0123456789abcdef01234567"
	ran := 0
	for _, file := range []string{"../../docs/images.md", "../../docs/formats.md"} {
		text, err := os.ReadFile(file)
		b.ok(err)
		for _, found := range documented.FindAllStringSubmatch(string(text), -1) {
			line := strings.NewReplacer("registry.example.org", host, "https://kms.example.org", b.g.URL).Replace(found[1])
			if strings.Contains(line, "attest --key") && strings.Contains(line, "slsaprovenance1") {
				line += provenance // in place of a CI system's environment
			}
			words := strings.Fields(line)
			if words[0] == "hsmgate" {
				b.hsmgate(words[1:]...)
				ran++
				continue
			}
			if _, err := exec.LookPath(words[0]); err != nil {
				t.Logf("NOT RUN: %s is not installed: %s", words[0], line)
				continue
			}
			if words[0] == "notation" {
				words = append(words, "--insecure-registry") // which is spoken to without TLS
			}
			b.ok(b.run(words[0], words[1:]...))
			ran++
		}
	}
	if ran < 8 {
		t.Errorf("%d commands were run", ran)
	}
}
