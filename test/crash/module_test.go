package crash

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// back is how long the service may take to come back on a machine that does much else; what it takes is logged.
const back = 30 * time.Second

// remote is the token behind 'p11-kit server': an HSM that can be killed, stopped and started again.
type remote struct {
	t      *testing.T
	s      *daemon.State // whose token it serves
	socket string
	cmd    *exec.Cmd
}

// newRemote makes a state whose daemon reaches its token through a remote.
func newRemote(t *testing.T, o daemon.Options) (*remote, *daemon.State) {
	t.Helper()
	s := newState(t, daemon.Options{})
	r := &remote{t: t, s: &daemon.State{Dir: s.Dir, Options: s.Options}, socket: filepath.Join(t.TempDir(), "p11")}
	r.start()
	t.Cleanup(func() {
		r.signal(syscall.SIGCONT)
		r.kill()
	})
	o.Module, o.Env = clientModule(t), []string{"P11_KIT_SERVER_ADDRESS=unix:path=" + r.socket}
	s.Options = o
	if err := s.Configure(); err != nil {
		t.Fatal(err)
	}
	return r, s
}

func clientModule(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*/pkcs11/p11-kit-client.so", "/usr/lib64/pkcs11/p11-kit-client.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Skip("p11-kit is not installed: apt-get install p11-kit p11-kit-modules")
	return ""
}

// start starts the server in a process group of its own, since it has a process for each client.
func (r *remote) start() {
	r.t.Helper()
	os.Remove(r.socket)
	r.cmd = exec.Command("p11-kit", "server", "-f", "-n", r.socket, "--provider", r.s.Options.Module, "pkcs11:")
	r.cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+r.s.SoftHSMConf())
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, back, "the server listens", func() error {
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
	_ = r.cmd.Wait() // killed, as it says
}

// TestModuleKilled kills the token under load and starts it again: calls are refused meanwhile, and the service is back by itself.
func TestModuleKilled(t *testing.T) {
	t.Parallel()
	moduleFault(t, "killed", (*remote).kill, (*remote).start)
}

// TestModuleStopped lets the token hang under load, and go on: the same, and no answer of before may come to a later call.
func TestModuleStopped(t *testing.T) {
	t.Parallel()
	moduleFault(t, "stopped", func(r *remote) { r.signal(syscall.SIGSTOP) }, func(r *remote) { r.signal(syscall.SIGCONT) })
}

func moduleFault(t *testing.T, what string, fault, mend func(*remote)) {
	const callTimeout = 2 * time.Second
	r, s := newRemote(t, daemon.Options{CallTimeout: callTimeout})
	p := start(t, s)
	var keys []key
	for range 3 { // several, so that a signature of the wrong one shows
		k, err := newKey(p, "ECC_NIST_P256")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	l := startLoad(p, keys)
	for range 3 {
		l.flows(t, 100, back)
		before := l.count()
		fault(r)
		eventually(t, back, "calls are refused", func() error {
			if n := l.count() - before; n < clients {
				return fmt.Errorf("%d were", n)
			}
			return nil
		})
		mend(r)
		mended := time.Now()
		l.flows(t, 1, back)
		t.Logf("%s: service was back %s after the token", what, time.Since(mended).Round(10*time.Millisecond))
	}
	l.flows(t, 100, back)
	l.end()
	for _, err := range append(l.wrong, l.noAnswer...) {
		t.Error(err)
	}
	wrong := 0
	for _, r := range l.refused {
		if r.status != http.StatusServiceUnavailable || r.retryAfter == "" {
			if wrong++; wrong <= 5 {
				t.Errorf("refused with %+v, not with 503 and Retry-After", r)
			}
		}
	}
	mustSign(t, p, keys)
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	readLog(t, s.AuditLog()).holds(t, l.received)
	verifyLog(t, s, l.received)
	t.Logf("%d signatures, %d refused", len(l.received), len(l.refused))
}
