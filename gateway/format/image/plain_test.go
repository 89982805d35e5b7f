package image

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// served is a registry without TLS that asks for credentials, at an address of this machine, and notes what comes.
type served struct {
	host            string
	asked, gotLogin atomic.Int32
}

func serve(t *testing.T, ip string) *served {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &served{host: l.Addr().String()}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			s.gotLogin.Add(1)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	login := base64.StdEncoding.EncodeToString([]byte("user:secret"))
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(`{"auths":{"`+s.host+`":{"auth":"`+login+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", folder)
	return s
}

// elsewhere are addresses of this machine that are not loopback: 0.0.0.0 leads here, too.
func elsewhere(t *testing.T) []string {
	found := []string{"0.0.0.0"}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsPrivate() {
			found = append(found, n.IP.String())
		}
	}
	return found
}

// No address but a loopback one gets credentials, or anything, without TLS.
func TestFindPlain(t *testing.T) {
	for _, ip := range elsewhere(t) {
		t.Run(ip, func(t *testing.T) {
			s := serve(t, ip)
			_, err := Find(t.Context(), s.host+"/app:1", Access{Patience: 10 * time.Second})
			if !errors.Is(err, ErrPlain) && !errors.Is(err, http.ErrSchemeMismatch) || s.asked.Load() != 0 {
				t.Errorf("%v; the registry was asked %d times", err, s.asked.Load())
			}
			_, err = Find(t.Context(), s.host+"/app:1", Access{Patience: 10 * time.Second, Insecure: true})
			var refused *RegistryError
			if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized || s.asked.Load() == 0 || s.gotLogin.Load() != 0 {
				t.Errorf("insecure: %v; asked %d times, %d with credentials", err, s.asked.Load(), s.gotLogin.Load())
			}
		})
	}
}

// A registry on this machine is logged in to, whatever its loopback address is.
func TestFindLoopback(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		for _, insecure := range []bool{false, true} {
			s := serve(t, ip)
			if _, err := Find(t.Context(), s.host+"/app:1", Access{Patience: 10 * time.Second, Insecure: insecure}); err == nil || s.gotLogin.Load() == 0 {
				t.Errorf("%s: %v; %d of %d with credentials", ip, err, s.gotLogin.Load(), s.asked.Load())
			}
		}
	}
}

// The guard holds wherever a registry sends its client.
func TestGuard(t *testing.T) {
	here := serve(t, "127.0.0.1")
	dial := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", here.host) // whatever was to be called
	}}
	defer dial.CloseIdleConnections()
	for host, refused := range map[string]bool{
		here.host: false, "10.0.0.1": true, "192.168.1.1:5000": true, "registry.localhost:5000": true, "registry.local": true,
		"[fd00::1]:5000": true, "localhost.example.org": true, "127.0.0.1.example.org": true, "0.0.0.0": true,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := guard{dial}.RoundTrip(r)
		if err == nil {
			answer.Body.Close()
		}
		if errors.Is(err, ErrPlain) != refused {
			t.Errorf("%s: %v", host, err)
		}
	}
}
