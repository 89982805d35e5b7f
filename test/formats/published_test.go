package formats

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// wksClient is where GnuPG keeps it.
const wksClient = "/usr/lib/gnupg/gpg-wks-client"

// TestFormatsPublished: what GnuPG would fetch from the Web Key Directory, at the path that GnuPG's own tool names, is
// what it imports, and verifies a signature.
func TestFormatsPublished(t *testing.T) {
	for _, tool := range []string{"gpg", wksClient} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT RUN: %s is not installed", tool)
		}
	}
	b := &bench{T: t, dir: t.TempDir(), g: gatewaytest.New(t), key: "alias/published"}
	key := b.g.CreateKey(api.P256, api.SignVerify)
	b.g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: key.KeyId}, nil)
	const address = "Release.Team@example.org"
	b.hsmgate("key", "publish", b.key, "--name", "release", "--user-id", "Release <"+address+">")
	file := anyFile(b)
	b.hsmgate("sign", "--key", b.key, "--format", "openpgp", file)

	cmd := exec.CommandContext(t.Context(), wksClient, "--print-wkd-hash", address)
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "GNUPGHOME="+b.dir)
	out, err := cmd.Output()
	b.ok(err)
	hash, _, _ := strings.Cut(string(out), " ")
	for _, path := range []string{"/.well-known/openpgpkey/hu/" + hash + "?l=Release.Team", "/.well-known/openpgpkey/example.org/hu/" + hash + "?l=Release.Team"} {
		b.write("served.gpg", fetch(b, path))
		b.ok(b.run("gpg", "--batch", "--import", "served.gpg"))
		b.ok(b.run("gpg", "--batch", "--trust-model", "always", "--verify", file+".asc", file))
		b.ok(b.run("gpg", "--batch", "--yes", "--delete-keys", address))
	}
	b.write("served.asc", fetch(b, "/public/keys/release.asc"))
	b.ok(b.run("gpg", "--batch", "--import", "served.asc"))
}

// fetch reads a path of the gateway as a stranger, for example.org.
func fetch(b *bench, path string) string {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.g.URL+path, nil)
	b.ok(err)
	r.Host = "example.org"
	answer, err := http.DefaultClient.Do(r)
	b.ok(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	b.ok(err)
	if answer.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s %s", path, answer.Status, body)
	}
	return string(body)
}
