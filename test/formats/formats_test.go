// Package formats has every format signed by the hsmgate program through a running gateway on a SoftHSM token, and checked
// by the tool that checks it elsewhere: the artifact is accepted, and refused when one byte of it is changed.
package formats

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hsmgate-formats-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		program = filepath.Join(dir, "hsmgate")
		build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/hsmgate/hsmgate/cmd/hsmgate")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "hsmgate does not build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// bench is where one row works: a folder, and a key with what its verifiers need.
type bench struct {
	*testing.T
	dir string
	g   *gatewaytest.Gateway
	env []string // in place of g: where the gateway is, and as whom
	key string   // its alias
}

// row is a format with a kind of artifact.
type row struct {
	name  string
	tools []string      // that have to be there
	lacks func() string // why the tools that are there are not enough; nil or "" is that they are
	specs []api.KeySpec
	// make makes the artifact and gives its file.
	make func(b *bench) string
	// trust makes what the tool needs to know of the key, once.
	trust func(b *bench)
	verb  string   // default: sign
	args  []string // of the verb, beside the key and the file
	// check has the tool judge what was signed.
	check func(b *bench, file string) error
	// damage changes one byte of what is signed.
	damage func(b *bench, file string)
}

var rows []row

// TestFormats signs, checks, checks again after a change, and signs once more.
func TestFormats(t *testing.T) {
	g := gatewaytest.New(t)
	for _, r := range rows {
		for _, spec := range r.specs {
			t.Run(r.name+"/"+string(spec), func(t *testing.T) {
				r.needs(t)
				b := &bench{T: t, dir: t.TempDir(), g: g, key: "alias/" + strings.ToLower(strings.NewReplacer(" ", "-", "/", "-").Replace(r.name+"-"+string(spec)))}
				key := g.CreateKey(spec, api.SignVerify)
				g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: key.KeyId}, nil)
				r.play(b)
			})
		}
	}
}

// needs skips a row whose tools are not there.
func (r row) needs(t *testing.T) {
	t.Helper()
	needs(t, r.tools...)
	if r.lacks == nil {
		return
	}
	if why := r.lacks(); why != "" {
		t.Skip("NOT RUN: " + why)
	}
}

// needs skips a test whose tools are not there: programs, or Python modules by the names of their Debian packages.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		test := exec.Command("sh", "-c", `command -v "$1"`, "sh", tool)
		if module, ok := strings.CutPrefix(tool, "python3-"); ok {
			test = exec.Command("/usr/bin/python3", "-c", "import "+module)
		}
		if err := test.Run(); err != nil {
			t.Skipf("NOT RUN: %s is not installed", tool)
		}
	}
}

func (r row) play(b *bench) {
	if r.trust != nil {
		r.trust(b)
	}
	file := r.make(b)
	args := append(append([]string{cmp.Or(r.verb, "sign"), "--key", b.key, "--output", "json"}, r.args...), file)
	before := b.files()
	if out := b.hsmgate(append(args, "--dry-run")...); !strings.Contains(out, `"Status":"would be signed"`) {
		b.Error("a dry run: ", out)
	}
	if after := b.files(); !maps.Equal(before, after) {
		b.Errorf("a dry run leaves %v, and there was %v", after, before)
	}
	out := b.hsmgate(args...)
	if !strings.Contains(out, `"Status":"signed"`) || !strings.Contains(out, `"AuditRecords":["`) {
		b.Fatal(out)
	}
	if err := r.check(b, file); err != nil {
		b.Fatal("a good signature is refused: ", err)
	}
	b.write("public.pem", b.hsmgate("key", "public-key", b.key))
	if err := r.verify(b, file); err != nil {
		b.Error("hsmgate verify refuses a good signature: ", err)
	}
	if out := b.hsmgate(args...); !strings.Contains(out, `"Status":"already signed"`) {
		b.Error("signed again: ", out)
	}
	damage := r.damage
	if damage == nil {
		damage = flip
	}
	damage(b, file)
	if err := r.check(b, file); err == nil {
		b.Error("a changed artifact is accepted")
	}
	if err := r.verify(b, file); err == nil {
		b.Error("hsmgate verify accepts a changed artifact")
	}
}

// verify has the program itself judge, offline.
func (r row) verify(b *bench, file string) error {
	args := []string{"verify", "--public-key", b.path("public.pem")}
	if at := slices.Index(r.args, "--format"); at >= 0 {
		args = append(args, r.args[at:at+2]...)
	}
	return b.run(program, append(args, file)...)
}

// flip changes the byte in the middle of a file.
func flip(b *bench, file string) {
	data, err := os.ReadFile(file)
	b.ok(err)
	data[len(data)/2] ^= 1
	b.ok(os.WriteFile(file, data, 0o600))
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// files are those in the row's folder, with what they hold.
func (b *bench) files() map[string]string {
	b.Helper()
	all := map[string]string{}
	b.ok(filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	}))
	return all
}

func (b *bench) write(name, text string) string {
	b.Helper()
	b.ok(os.WriteFile(b.path(name), []byte(text), 0o600))
	return b.path(name)
}

// gateway are the variables that name it.
func (b *bench) gateway() []string {
	if b.g == nil {
		return b.env
	}
	return []string{"HSMGATE_URL=" + b.g.URL, "HSMGATE_TOKEN=" + b.g.Admin.Token}
}

// hsmgate runs the program, which has to succeed, and gives what it prints.
func (b *bench) hsmgate(args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), b.gateway()...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("hsmgate %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.Bytes())
	}
	return string(out)
}

// run runs another tool in the row's folder, with a home of its own.
func (b *bench) run(name string, args ...string) error {
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "GNUPGHOME="+b.dir, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// anyFile makes a file that no format takes for its own.
func anyFile(b *bench) string {
	return b.write("app.tar.gz", strings.Repeat("what is released\n", 200))
}
