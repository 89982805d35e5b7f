package hsmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
)

// NewerNSS returns the library of a newer NSS, which has ML-DSA and ML-KEM; the test is skipped where there is none. It loads in a process
// with its folder in LD_LIBRARY_PATH: see Alone.
func NewerNSS(t testing.TB) string {
	t.Helper()
	folder, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	found, err := filepath.Glob(filepath.Join(folder, "hsmgate", "modules", "nss", "usr", "lib", "*", "libsoftokn3.so"))
	if err != nil || len(found) != 1 {
		t.Skip("there is no newer NSS, so ML-DSA and ML-KEM are not tested in a token: test/modules/nss.sh fetches one")
	}
	return found[0]
}

// NSSToken makes a database for the NSS library, which takes the place of a token.
func NSSToken(t testing.TB, lib string) hsm.Config {
	t.Helper()
	if _, err := exec.LookPath("certutil"); err != nil {
		t.Skip("certutil is not installed: apt-get install libnss3-tools")
	}
	dir := filepath.Join(t.TempDir(), "db")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pin := PINFile(t, PIN)
	if out, err := exec.Command("certutil", "-N", "-d", "sql:"+dir, "-f", pin).CombinedOutput(); err != nil {
		t.Fatalf("certutil: %v\n%s", err, out)
	}
	return hsm.Config{Module: lib, Label: "NSS Certificate DB", PINFile: pin,
		InitArgs: "configdir='sql:" + dir + "' certPrefix='' keyPrefix='' secmod='secmod.db' flags="}
}
