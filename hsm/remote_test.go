package hsm_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// remote is SoftHSM behind 'p11-kit server': an HSM that can be killed, stopped and started again.
type remote struct {
	t      *testing.T
	socket string
	cmd    *exec.Cmd
}

// remoteModule is the path of the client side; the test is skipped where p11-kit is not installed.
func remoteModule(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so", "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
		"/usr/lib64/pkcs11/p11-kit-client.so"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("p11-kit is not installed: apt-get install p11-kit p11-kit-modules")
	return ""
}

// start starts the server in a process group of its own, since it has a process for each client.
func (r *remote) start() {
	r.t.Helper()
	os.Remove(r.socket)
	r.cmd = exec.Command("p11-kit", "server", "-f", "-n", r.socket, "--provider", hsmtest.SoftHSM(r.t), "pkcs11:")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	hsmtest.Eventually(r.t, 10*time.Second, "the server listens", func() error {
		c, err := net.Dial("unix", r.socket)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func (r *remote) signal(s syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(-r.cmd.Process.Pid, s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *remote) kill() {
	r.t.Helper()
	r.signal(syscall.SIGKILL)
	_ = r.cmd.Wait() // killed: the error says so
}

// newRemote makes a token with a key, in a process of its own (the environment names the socket), and serves it.
func newRemote(t *testing.T) (*remote, hsm.Config) {
	t.Helper()
	c := hsmtest.NewToken(t)
	r := &remote{t: t, socket: filepath.Join(t.TempDir(), "socket")}
	if err := os.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+r.socket); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(func() {
		r.signal(syscall.SIGCONT)
		r.kill()
	})
	c.Module = remoteModule(t)
	return r, c
}

func TestRemoteKilled(t *testing.T) {
	remoteModule(t)
	if !hsmtest.Alone(t) {
		return
	}
	r, c := newRemote(t)
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	l := startLoad(t, tok, k, 4, 2*time.Second)
	l.flows(t, back)
	for range 2 {
		r.kill()
		l.refuses(t, back)
		r.start()
		l.flows(t, back)
	}
	l.end()
	if s := tok.Stats(); s.Recoveries < 2 || s.CheckFailures != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestRemoteStopped(t *testing.T) {
	remoteModule(t)
	if !hsmtest.Alone(t) {
		return
	}
	r, c := newRemote(t)
	c.CallTimeout, c.WaitTimeout = 500*time.Millisecond, 300*time.Millisecond
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	l := startLoad(t, tok, k, 16, 3*time.Second)
	l.flows(t, back)
	for range 2 {
		r.signal(syscall.SIGSTOP)
		l.refuses(t, back)
		hsmtest.Eventually(t, back, "Hung says yes", func() error {
			if !tok.Hung(time.Second) {
				return errors.New("no")
			}
			return nil
		})
		hsmtest.Eventually(t, back, "calls are shed", func() error {
			if tok.Stats().Available {
				return errors.New("not yet")
			}
			return nil
		})
		begin := time.Now()
		_, err := tok.Sign(ctx, k, p256, digest(crypto.SHA256, "x"))
		if !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("while the module hangs: %v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("a refusal took %v", took)
		}
		r.signal(syscall.SIGCONT)
		l.flows(t, back)
	}
	l.end()
	hsmtest.Eventually(t, back, "no session is stuck", func() error {
		if s := tok.Stats(); s.Stuck != 0 || s.Sessions != 4 || s.Busy != 0 || tok.Hung(time.Second) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// A client library, which hands on some mechanisms and not others.
func TestRemoteSecrets(t *testing.T) {
	remoteModule(t)
	if !hsmtest.Alone(t) {
		return
	}
	_, c := newRemote(t)
	hsmtest.TestSecrets(t, hsmtest.Open(t, c))
}

// Where a library makes another client of each C_GetFunctionList, everything goes through miekg/pkcs11.
func TestSecretsWithoutFunctionList(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	c := hsmtest.NewToken(t)
	if err := hsm.DropFunctionList(c.Module); err != nil {
		t.Fatal(err)
	}
	tok := hsmtest.Open(t, c)
	for _, spec := range hsm.SecretSpecs() {
		s, key := known(t, tok, spec)
		if spec != hsm.Symmetric {
			if got, err := tok.MAC(ctx, s, []byte("a")); err != nil || !bytes.Equal(got, mac(bySecret[spec], key, []byte("a"))) {
				t.Errorf("%s: %x, %v", spec, got, err)
			}
			continue
		}
		iv, ct, err := tok.EncryptGCM(ctx, s, []byte("a text"), []byte("aad"))
		if err != nil || !hsm.OpensInGo(key, iv, ct, []byte("aad"), []byte("a text")) {
			t.Errorf("%x %x, %v", iv, ct, err)
		}
	}
	hsmtest.TestSecrets(t, tok)
	if t.Failed() {
		return
	}
	for _, a := range tok.Abilities() {
		if a.State != hsm.Yes && a.Name != "ED25519_PH_SHA_512" && !strings.Contains(a.Name, "ML_") { // which SoftHSM does not have
			t.Errorf("%+v", a)
		}
	}
}
