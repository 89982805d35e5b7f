// Package hsmtest gives tests a real token: SoftHSM, in a folder of the test process's own.
//
// A PKCS#11 library has one state a process, so all tests of a process share one SoftHSM configuration and one C_Initialize, and each has a
// token of its own in it. What ends the life of the library (a token that goes away, above all) is felt by every Token of the process
// for a moment, so tests that do such things call Alone, which runs them in a process of their own.
package hsmtest

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
)

// The PINs of every token made here.
const (
	PIN   = "1234-test"
	SOPIN = "12345678"
)

// modules are where distributions put SoftHSM.
var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// SoftHSM returns the path of the SoftHSM library; the test fails where there is none, since nothing stands in for it.
func SoftHSM(t testing.TB) string {
	t.Helper()
	for _, path := range modules {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("SoftHSM is not installed: apt-get install softhsm2")
	return ""
}

// folder is the process's one SoftHSM folder; it is removed when no test uses it any more.
var folder struct {
	sync.Mutex
	path  string
	users int
}

// Folder returns the folder that holds the token objects, with SOFTHSM2_CONF set to its configuration for this process and its children.
func Folder(t testing.TB) string {
	t.Helper()
	folder.Lock()
	defer folder.Unlock()
	if folder.users == 0 {
		path, err := os.MkdirTemp("", "softhsm-of-test-")
		if err != nil {
			t.Fatal(err)
		}
		conf := filepath.Join(path, "softhsm2.conf")
		text := "directories.tokendir = " + filepath.Join(path, "tokens") + "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
		if err := os.MkdirAll(filepath.Join(path, "tokens"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil { // read by the library at C_Initialize: one for the process
			t.Fatal(err)
		}
		folder.path = path
	}
	folder.users++
	t.Cleanup(func() {
		folder.Lock()
		defer folder.Unlock()
		if folder.users--; folder.users == 0 {
			_ = os.RemoveAll(folder.path)
		}
	})
	return filepath.Join(folder.path, "tokens")
}

// NewToken makes a fresh SoftHSM token for this test and returns the Config that opens it. Tests may run in parallel.
func NewToken(t testing.TB) hsm.Config {
	t.Helper()
	return TokenIn(t, SoftHSM(t))
}

// TokenIn is NewToken by another library that leads to SoftHSM, for example a spy.
func TokenIn(t testing.TB, module string) hsm.Config {
	t.Helper()
	Folder(t)
	label := "test-" + hex.EncodeToString(hsm.NewID()[:8])
	serial, err := hsm.InitToken(module, "", label, SOPIN, PIN)
	if err != nil {
		t.Fatalf("make a token: %v", err)
	}
	return hsm.Config{Module: module, Serial: serial, PINFile: PINFile(t, PIN)}
}

// PINFile writes a PIN file of mode 0600.
func PINFile(t testing.TB, pin string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Open opens the token and closes it when the test ends.
func Open(t testing.TB, c hsm.Config) *hsm.Token {
	t.Helper()
	tok, err := hsm.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("open the token: %v", err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Errorf("close the token: %v", err)
		}
	})
	return tok
}

// NewKey makes a key pair for the test.
func NewKey(t testing.TB, tok *hsm.Token, spec hsm.KeySpec, use hsm.Use) *hsm.Key {
	t.Helper()
	id := hsm.NewID()
	spki, err := tok.Generate(context.Background(), spec, use, id, "test key")
	if err != nil {
		t.Fatalf("make a key of type %s: %v", spec, err)
	}
	k, err := hsm.NewKey(id, spec, spki)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// NewSecret makes a secret key for the test.
func NewSecret(t testing.TB, tok *hsm.Token, spec hsm.KeySpec) *hsm.Secret {
	t.Helper()
	id := hsm.NewID()
	check, err := tok.GenerateSecret(context.Background(), spec, id, "test secret")
	if err != nil {
		t.Fatalf("make a key of type %s: %v", spec, err)
	}
	s, err := hsm.NewSecret(id, spec, check)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Eventually polls until ok says yes, and fails the test after the bound; last is what ok said of itself.
func Eventually(t testing.TB, bound time.Duration, what string, ok func() error) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(bound); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if last = ok(); last == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, bound, fmt.Sprint(last))
}
