package gateway_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// remoteModule is the client of 'p11-kit server'.
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

// serveSoftHSM starts 'p11-kit server' in a process group of its own and returns
// what ends it.
func serveSoftHSM(t *testing.T, socket string) (kill func()) {
	t.Helper()
	_ = os.Remove(socket)
	cmd := exec.Command("p11-kit", "server", "-f", "-n", socket, "--provider", hsmtest.SoftHSM(t), "pkcs11:")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hsmtest.Eventually(t, 10*time.Second, "the server listens", func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed: the error says so
	}
}

// TestKeyStoreAway: a named token that is away keeps nobody from starting, comes
// by itself, and while it is gone again the default token's keys are served.
func TestKeyStoreAway(t *testing.T) {
	module := remoteModule(t)
	if !hsmtest.Alone(t) {
		return
	}
	config := hsmtest.NewToken(t)
	config.Module = module
	socket := filepath.Join(t.TempDir(), "socket")
	t.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+socket)
	g := gatewaytest.NewWith(t, gatewaytest.Options{KeyStores: map[string]hsm.Config{"second": config}})
	if got := connections(t, g)["second"]; got != "FAILED NETWORK_ERRORS" {
		t.Fatal(got)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, CustomKeyStoreId: "second"}), 409, api.CustomKeyStoreInvalidState)
	own := createIn(t, g, "")
	kill := serveSoftHSM(t, socket)
	comes(t, g, "second", "CONNECTED")
	key := createIn(t, g, "second")
	sign(t, g, key.KeyId, message)

	kill()
	until(t, "the key is away", func() bool {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", message)
		return a.Status == 503 && a.Code() == string(api.KeyUnavailable) && a.Header.Get("Retry-After") != ""
	})
	comes(t, g, "second", "FAILED NETWORK_ERRORS")
	if r := g.Service.Readiness(); r.Status != gateway.StatusReady {
		t.Errorf("the gateway is not ready: %+v", r)
	}
	sign(t, g, own.KeyId, message)
	if m := describe(t, g, key.KeyId); m.KeyState != api.Enabled {
		t.Errorf("%+v", m)
	}
	kill = serveSoftHSM(t, socket)
	defer kill()
	until(t, "the key is back", func() bool {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", message).Status == 200
	})
	comes(t, g, "second", "CONNECTED")
}
