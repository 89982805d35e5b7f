package hsmtest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
)

// The conformance kit on any module:
//
//	go test ./hsm/hsmtest -run TestModule -v -args -module /usr/lib/libvendor.so -label token -pin-file /run/pin
//
// It makes and destroys keys of every type that the token has; give it a token of its own.
var (
	module   = flag.String("module", "", "path of the PKCS#11 library to test")
	initArgs = flag.String("init-args", "", "pReserved for C_Initialize")
	label    = flag.String("label", "", "label of the token")
	serial   = flag.String("serial", "", "serial number of the token")
	pinFile  = flag.String("pin-file", "", "file with the PIN, mode 0600")
	noLogin  = flag.Bool("no-login", false, "the token has no login")
	noGCM    = flag.String("without-gcm", "", "refuse or derive")
)

func TestModule(t *testing.T) {
	if *module == "" {
		t.Skip("no -module given")
	}
	both(t, hsm.Config{Module: *module, InitArgs: *initArgs, Label: *label, Serial: *serial, PINFile: *pinFile, NoLogin: *noLogin, WithoutGCM: *noGCM})
}

// both runs the two parts of the kit.
func both(t *testing.T, c hsm.Config) {
	t.Helper()
	TestToken(t, c)
	t.Run("import", func(t *testing.T) { TestImport(t, c) })
}

func TestSoftHSM(t *testing.T) {
	t.Parallel()
	both(t, NewToken(t))
}

// first returns the first of the paths that exists.
func first(t *testing.T, hint string, paths ...string) string {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip(hint)
	return ""
}

// NSS is another kind of module: configured by pReserved, with a database for a token.
func TestNSS(t *testing.T) {
	t.Parallel()
	lib := first(t, "NSS is not installed: apt-get install libnss3 libnss3-tools", "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
		"/usr/lib/aarch64-linux-gnu/libsoftokn3.so", "/usr/lib64/libsoftokn3.so")
	both(t, NSSToken(t, lib))
}

// A newer NSS, which has ML-DSA and ML-KEM. In a process of its own: the system's libnssutil3 and the newer one do not go together.
func TestNewNSS(t *testing.T) {
	lib := NewerNSS(t)
	if !Alone(t, "LD_LIBRARY_PATH="+filepath.Dir(lib)) {
		return
	}
	c := NSSToken(t, lib)
	both(t, c)
	tok := Open(t, c)
	for _, spec := range []hsm.KeySpec{hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87} {
		if err := tok.Supports(spec, hsm.UseSign); err != nil {
			t.Error(err)
		}
	}
	for _, spec := range []hsm.KeySpec{hsm.MLKEM512, hsm.MLKEM768, hsm.MLKEM1024} {
		if err := tok.Supports(spec, hsm.UseDecapsulate); err != nil {
			t.Error(err)
		}
	}
}
