package identity

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSealKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seal.key")
	made, err := CreateSealKey(path)
	ok(t, err)
	equal(t, len(made), SealKeySize)
	info, err := os.Stat(path)
	ok(t, err)
	equal(t, info.Mode(), fs.FileMode(0o600))
	read, err := ReadSealKey(path)
	ok(t, err)
	equal(t, read, made)

	_, err = CreateSealKey(path) // never replaced
	is(t, err, fs.ErrExist)
	read, err = ReadSealKey(path)
	ok(t, err)
	equal(t, read, made)
	other, err := CreateSealKey(path + "2")
	ok(t, err)
	if string(other) == string(made) {
		t.Error("two keys are the same")
	}
	left, err := filepath.Glob(filepath.Dir(path) + "/.*")
	ok(t, err)
	equal(t, len(left), 0)
}

func TestSealKeyFileRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := strings.Repeat("ab", SealKeySize)
	path := filepath.Join(dir, "seal.key")
	for _, mode := range []fs.FileMode{0o604, 0o640, 0o644, 0o602, 0o620, 0o777} {
		ok(t, os.WriteFile(path, []byte(secret), 0o600))
		ok(t, os.Chmod(path, mode))
		_, err := ReadSealKey(path)
		is(t, err, ErrSealKey)
		if want := fmt.Sprintf("mode %04o, so others than its owner may use it: chmod 600 %s", mode, path); !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	ok(t, os.Chmod(path, 0o400))
	_, err := ReadSealKey(path)
	ok(t, err)

	for _, text := range []string{"", secret[:62], secret + "ab", secret[:63] + "x", strings.Repeat("ab\n", 32), strings.Repeat("a", 5000)} {
		ok(t, os.Remove(path))
		ok(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := ReadSealKey(path)
		is(t, err, ErrSealKey)
		if len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
			t.Errorf("the error tells the content: %v", err)
		}
	}
	_, err = ReadSealKey(filepath.Join(dir, "none"))
	is(t, err, fs.ErrNotExist)
	_, err = ReadSealKey(dir)
	is(t, err, ErrSealKey)
	ok(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	_, err = ReadSealKey(filepath.Join(dir, "fifo"))
	is(t, err, ErrSealKey)
	_, err = CreateSealKey(filepath.Join(dir, "none", "seal.key"))
	is(t, err, fs.ErrNotExist)
}
