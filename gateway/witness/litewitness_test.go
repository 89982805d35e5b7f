package witness

import (
	"bytes"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the database of litewitness

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// litewitness is a witness that others wrote and run. Later versions need a newer Go.
const litewitness = "filippo.io/torchwood/cmd/litewitness@v0.6.1"

// TestLitewitness pushes to it: a first checkpoint, more of them, again from nothing known, and pasts that are not its own.
func TestLitewitness(t *testing.T) {
	t.Parallel()
	g := newGrowing(t)
	w := startLitewitness(t, g.key)
	anew := func() *Witness { return &Witness{URL: w.URL, Key: w.Key, HTTP: http.DefaultClient} }
	for _, n := range []int{1, 1, 254, 700} {
		c := g.grow(n, "a")
		line, err := w.push(t.Context(), c, g.prove)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tree.ParseCheckpoint(append(bytes.Clone(c.Text), line...), append(g.keys, w.Key)...)
		if err != nil || len(got.Signed) != 2 {
			t.Errorf("%v: %s", err, line)
		}
	}
	if _, err := anew().push(t.Context(), g.grow(10, "a"), g.prove); err != nil {
		t.Errorf("by one who does not know where it stands: %v", err)
	}
	g.cut(900)
	for name, n := range map[string]int{"put back": 0, "forked": 66, "forked and went on": 500} {
		if _, err := anew().push(t.Context(), g.grow(n, "b"), g.prove); !errors.Is(err, ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
		g.cut(900)
	}
	if _, err := anew().push(t.Context(), newGrowing(t).grow(2000, "a"), g.prove); err == nil || !strings.Contains(err.Error(), "does not know this log") {
		t.Errorf("with another key: %v", err)
	}
}

func startLitewitness(t *testing.T, logKey string) *Witness {
	t.Helper()
	dir, err := os.MkdirTemp("", "hsmgate-witness-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	install := exec.Command("go", "install", litewitness)
	install.Dir, install.Env = dir, append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := install.CombinedOutput(); bytes.Contains(out, []byte("reading http")) || bytes.Contains(out, []byte("dial tcp")) {
		t.Skipf("litewitness cannot be had from here:\n%s", out)
	} else if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	secret, agent := filepath.Join(dir, "key"), filepath.Join(dir, "agent")
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+agent)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", secret)
	start(t, "ssh-agent", "-D", "-a", agent)
	eventually(t, "the agent listens", func() bool { _, err := os.Stat(agent); return err == nil })
	run("ssh-add", "-q", secret)
	address, database := freeAddress(t), filepath.Join(dir, "witness.db")
	said := start(t, filepath.Join(dir, "litewitness"), "-name", "witness.example/w", "-db", database, "-ssh-agent", agent,
		"-listen", address, "-key", strings.Fields(run("ssh-keygen", "-lf", secret))[1])
	var key []string
	eventually(t, "litewitness says its key", func() bool {
		key = regexp.MustCompile(`vkey=(\S+)`).FindStringSubmatch(said.String())
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return key != nil && err == nil
	})
	trustLog(t, database, logKey)
	pinned, err := ParseKey(key[1])
	if err != nil {
		t.Fatal(err)
	}
	return &Witness{URL: "http://" + address, Key: pinned, HTTP: http.DefaultClient}
}

// trustLog does what witnessctl does.
func trustLog(t *testing.T, database, key string) {
	t.Helper()
	db, err := sql.Open("sqlite3", database+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, insert := range []string{"INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')", "INSERT INTO key (key, origin) VALUES (?2, ?1)"} {
		if _, err := db.Exec(insert, origin, key); err != nil {
			t.Fatal(err)
		}
	}
}

// output of a program, which is read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a program that is ended with the test.
func start(t *testing.T, name string, args ...string) *output {
	t.Helper()
	said := &output{}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return said
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
