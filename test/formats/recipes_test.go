package formats

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

const recipes = "../../docs/integrations"

// pages are the recipes that a shell runs, with the tools that they need, and what has to be so at the end, where the
// page itself does not check it.
var pages = map[string]struct {
	tools []string
	end   string
}{
	"shell.md": {[]string{"jq", "openssl"}, `echo more >>dist/app.tar.gz
! openssl dgst -sha256 -verify release.pem -signature app.sig dist/app.tar.gz`},
	"make.md": {[]string{"make", "gpg", "gpgv"}, `make sign >again
if grep '"Status":"signed"' again; then exit 1; fi
test "$(ls dist/*.asc | wc -l)" = 2
echo more >>dist/app.tar.gz
! make verify`},
	"nfpm.md": {[]string{"nfpm", "ar", "rpm"}, `ar t dist/*.deb | grep -qx _gpgorigin
rpm -qp --qf '%{RSAHEADER:pgpsig}\n' dist/*.rpm | grep -q ^RSA/SHA256`},
	"goreleaser.md": {[]string{"goreleaser", "go", "gpg", "gpgv", "openssl", "ar", "rpm"}, `test "$(ls dist/*.asc | wc -l)" = 4
ar t dist/*.deb | grep -qx _gpgorigin
rpm -qp --qf '%{RSAHEADER:pgpsig}\n' dist/*.rpm | grep -q ^RSA/SHA256
echo more >>dist/checksums.txt
! gpgv --keyring ./release.gpg dist/checksums.txt.asc dist/checksums.txt`},
	"cosign.md": {[]string{"cosign"}, `echo more >>dist/app.tar.gz
! cosign verify-blob --key release.pem --insecure-ignore-tlog --bundle app.bundle dist/app.tar.gz`},
	"sops.md": {[]string{"sops", "jq"}, `if grep 'correct horse' secrets.enc.yaml; then exit 1; fi
sed -i 's/Service: app/Service: other/' secrets.enc.yaml
grep 'Service: other' secrets.enc.yaml
! sops decrypt secrets.enc.yaml`},
	"git.md": {[]string{"git", "gpg", "ssh-keygen"}, "test $(git log --format=%G? HEAD~1..HEAD) = G"},
}

// TestFormatsRecipes runs the commands of the pages as they are written.
func TestFormatsRecipes(t *testing.T) {
	g := gatewaytest.New(t)
	key := g.CreateKey(api.RSA2048, api.SignVerify)
	for _, alias := range []string{"alias/release", "alias/packages"} {
		g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: key.KeyId}, nil)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cache))) // of whom GoReleaser runs go for, with another home
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			b := newRecipe(t, g)
			for _, tool := range page.tools {
				b.path = append(b.path, filepath.Dir(cached(t, tool)))
			}
			script := b.lay(name)
			if script == "" {
				t.Fatal("the page has no commands")
			}
			b.bash(script+"echo '# the end of the page' >&2\n"+page.end+"\n", nil)
		})
	}
}

// TestFormatsRecipesAll: no page is forgotten.
func TestFormatsRecipesAll(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(recipes, "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	index, err := os.ReadFile(filepath.Join(recipes, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		name := filepath.Base(path)
		_, runs := pages[name]
		if name != "README.md" && !runs && !slices.Contains(pipelines, name) {
			t.Errorf("%s is not tested", name)
		}
		if name != "README.md" && !strings.Contains(string(index), "("+name+")") {
			t.Errorf("%s is not in the index", name)
		}
	}
}

// hostile is the name of a file that would run commands, were it ever a part of one.
const hostile = "dist/$(touch ran)`touch ran`;touch ran;'\"|touch ran|.tar.gz"

// recipe is where one page is played: a folder with something to release.
type recipe struct {
	*testing.T
	g    *gatewaytest.Gateway
	dir  string
	path []string // before the machine's
}

func newRecipe(t *testing.T, g *gatewaytest.Gateway) *recipe {
	r := &recipe{T: t, g: g, dir: t.TempDir()}
	r.path = []string{filepath.Dir(program), filepath.Join(r.dir, "home", "bin")}
	for _, folder := range []string{"dist", "src", "home/bin"} {
		r.ok(os.MkdirAll(filepath.Join(r.dir, folder), 0o700))
	}
	r.write("dist/app.tar.gz", strings.Repeat("what is released\n", 200))
	r.write(hostile, "what is released, too\n")
	r.write("go.mod", "module example.org/app\n")
	r.write("main.go", "package main\n\nfunc main() {}\n")
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(r.dir, "ran")); err == nil {
			t.Error("the name of a file was run")
		}
	})
	r.write("home/.gitconfig", "[user]\n\tname = Release\n\temail = release@example.org\n")
	r.bash("git init -q -b main && git add dist && git commit -q -m start", nil)
	return r
}

func (r *recipe) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *recipe) write(name, text string) {
	r.Helper()
	r.ok(os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
}

// lay writes the files of a page into the folder, and gives its commands.
func (r *recipe) lay(page string) (script string) {
	r.Helper()
	for _, b := range r.fenced(page) {
		if file, ok := b.info["file"]; ok {
			r.write(file, b.text)
		}
		if _, ok := b.info["run"]; ok {
			script += fmt.Sprintf("echo '# %s, line %d' >&2\n%s", page, b.line, b.text)
		}
	}
	return script
}

// fence is a fenced block of a page.
type fence struct {
	line int
	info map[string]string // the words behind the ```, such as file=NAME
	text string
}

func (r *recipe) fenced(page string) (found []fence) {
	r.Helper()
	text, err := os.ReadFile(filepath.Join(recipes, page))
	r.ok(err)
	var open *fence
	for i, line := range strings.SplitAfter(string(text), "\n") {
		words, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "```")
		switch {
		case is && open == nil:
			open = &fence{line: i + 1, info: map[string]string{}}
			for _, word := range strings.Fields(words) {
				name, value, _ := strings.Cut(word, "=")
				open.info[name] = value
			}
		case is:
			found, open = append(found, *open), nil
		case open != nil:
			open.text += line
		}
	}
	return found
}

// bash runs a script, which has to succeed, as the administrator or with other variables.
func (r *recipe) bash(script string, env []string) string {
	r.Helper()
	out, err := r.try([]string{"bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script}, env)
	if err != nil {
		r.Fatalf("%v\n%s", err, out)
	}
	return out
}

func (r *recipe) try(command, env []string) (string, error) {
	cmd := exec.CommandContext(r.Context(), command[0], command[1:]...)
	cmd.Dir = r.dir
	if env == nil {
		env = append(awsEnv(r.g), "HSMGATE_URL="+r.g.URL, "HSMGATE_TOKEN="+r.g.Admin.Token)
	}
	home := filepath.Join(r.dir, "home")
	cmd.Env = append(os.Environ(), append(env, "HOME="+home, "GNUPGHOME="+home, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
		"PATH="+strings.Join(append(r.path, os.Getenv("PATH")), ":"))...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
