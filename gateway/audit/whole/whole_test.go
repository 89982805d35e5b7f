package whole

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for text, mode := range map[string]os.FileMode{"one": 0o600, "": 0o644, "three": 0o640} {
		if err := Write(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if info, statErr := os.Stat(path); err != nil || statErr != nil || string(got) != text || info.Mode().Perm() != mode {
			t.Errorf("%q, %v, %v", got, info, err)
		}
	}
	alone(t, dir, "a")
}

// A failure leaves what was there, and nothing else.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.Mkdir(path, 0o700); err != nil { // no file takes its place
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o600); err == nil {
		t.Error("a folder is replaced")
	}
	alone(t, dir, "a")
	if err := Write(filepath.Join(dir, "none", "a"), nil, 0o600); !os.IsNotExist(err) {
		t.Error(err)
	}
	alone(t, dir, "a")
}

func alone(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Error(entries, err)
	}
}
