package formats

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestFormatsGit has git sign commits and tags, verify them with gpg and ssh-keygen, and refuse those that were changed.
func TestFormatsGit(t *testing.T) {
	for _, tool := range []string{"git", "gpg", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT RUN: %s is not installed", tool)
		}
	}
	g := gatewaytest.New(t)
	for _, r := range []struct {
		name string
		spec api.KeySpec
		args []string
	}{
		{"openpgp", api.RSA2048, nil},
		{"openpgp", api.P256, nil},
		{"ssh", api.RSA2048, []string{"--ssh"}},
		{"ssh", api.P256, []string{"--ssh"}},
		{"ssh", api.Ed25519, nil},
		{"ssh-literal", api.Ed25519, nil},
	} {
		t.Run(r.name+"/"+string(r.spec), func(t *testing.T) {
			b := &bench{T: t, dir: t.TempDir(), g: g, key: "alias/git-" + r.name + "-" + strings.ToLower(string(r.spec))}
			key := g.CreateKey(r.spec, api.SignVerify)
			g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: key.KeyId}, nil)
			b.repository()
			if out := b.hsmgate(append([]string{"git", "setup", "--key", b.key}, r.args...)...); !strings.Contains(out, "commit.gpgsign   true") {
				t.Error(out)
			}
			b.trustForGit(r.name)
			b.squats()
			b.signsAndVerifies(r.name)
		})
	}
}

// repository makes one with a file in it.
func (b *bench) repository() {
	b.git("init", "-q", "-b", "main")
	b.git("config", "user.name", "Release")
	b.git("config", "user.email", "release@example.org")
	b.write("file.txt", "what is released\n")
	b.git("add", "file.txt")
}

// trustForGit tells gpg, or git for ssh-keygen, of the key.
func (b *bench) trustForGit(name string) {
	if name == "openpgp" {
		trustOpenPGP(b)
		b.ok(b.run("gpg", "--batch", "--import", "release.asc"))
		return
	}
	allowed := b.hsmgate("key", "public-key", b.key, "--format", "ssh-allowed-signer", "--principal", "release@example.org")
	b.git("config", "gpg.ssh.allowedSignersFile", b.write("allowed", allowed))
	if name == "ssh-literal" { // as git hands it over, in a file of its own, with the gateway's name of the key beside it
		b.git("config", "user.signingkey", "key::"+strings.TrimSpace(strings.TrimPrefix(allowed, "release@example.org ")))
		b.git("config", "hsmgate.key", b.key)
	}
}

// squats puts another public key where a file with the name of the key would be, which is to stop nothing.
func (b *bench) squats() {
	b.ok(os.MkdirAll(b.path("alias"), 0o700))
	b.write(b.key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f other\n")
}

func (b *bench) signsAndVerifies(name string) {
	b.git("commit", "-q", "-m", "what is committed")
	b.git("tag", "-s", "v1.0", "-m", "what is tagged")
	b.git("verify-commit", "HEAD")
	b.git("verify-tag", "v1.0")
	if got := b.git("log", "-1", "--format=%G?"); got != "G\n" && got != "U\n" { // U: gpg knows the key, and nobody said that it is theirs
		b.Errorf("git log says of the signature %q", got)
	}

	changed := strings.Replace(b.git("cat-file", "commit", "HEAD"), "what is committed", "what was committed", 1)
	b.refuses("verify-commit", b.gitFed(changed, "hash-object", "-t", "commit", "-w", "--stdin"))
	changed = strings.Replace(b.git("cat-file", "tag", "v1.0"), "what is tagged", "what was tagged", 1)
	b.refuses("verify-tag", b.gitFed(changed, "mktag"))

	records := b.g.Records()
	if last := records[len(records)-1]; last.Operation != "Sign" || last.ArtifactName != "git tag v1.0" || last.ArtifactCommit+"\n" != b.git("rev-parse", "HEAD") {
		b.Errorf("the record of the tag: %+v", last)
	}

	head := b.git("rev-parse", "HEAD")
	b.git("config", "user.signingkey", "alias/none")
	out, err := b.tryGit("", "commit", "-q", "--allow-empty", "-m", "by no key")
	if err == nil || name == "ssh" && !strings.Contains(out, `hsmgate: error: user.signingkey is "alias/none"`) { // git 2.39 does not show what gpg says
		b.Errorf("a commit by a key that is not there: %v\n%s", err, out)
	}
	if b.git("rev-parse", "HEAD") != head {
		b.Error("an unsigned commit was made")
	}
}

// refuses: git does not accept the signature of the object.
func (b *bench) refuses(verb, object string) {
	b.Helper()
	if out, err := b.tryGit("", verb, strings.TrimSpace(object)); err == nil || !strings.Contains(strings.ToLower(out), "bad signature") && !strings.Contains(out, "incorrect signature") {
		b.Errorf("git %s of what was changed: %v\n%s", verb, err, out)
	}
}

func (b *bench) git(args ...string) string { b.Helper(); return b.gitFed("", args...) }

// gitFed runs git, which has to succeed, with an input.
func (b *bench) gitFed(input string, args ...string) string {
	b.Helper()
	out, err := b.tryGit(input, args...)
	if err != nil {
		b.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// tryGit gives what git prints, and after a failure also its errors.
func (b *bench) tryGit(input string, args ...string) (string, error) {
	cmd := exec.CommandContext(b.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = b.dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "GNUPGHOME="+b.dir, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"HSMGATE_URL="+b.g.URL, "HSMGATE_TOKEN="+b.g.Admin.Token, "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String() + errs.String(), err
	}
	return out.String(), nil
}
