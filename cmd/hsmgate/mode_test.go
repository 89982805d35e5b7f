package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// A new file has the mode that the umask leaves; one that is there keeps its own.
func TestModeOfNewFile(t *testing.T) {
	if made := os.Getenv("HSMGATE_TEST_WRITE"); made != "" { // in a process with another umask
		if err := writeBytes(made, []byte("text")); err != nil {
			t.Fatal(err)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for mask, want := range map[string]os.FileMode{"022": 0o644, "027": 0o640, "077": 0o600, "002": 0o664} {
		made := filepath.Join(t.TempDir(), "made")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "umask "+mask+` && exec "$0" -test.run=TestModeOfNewFile`, self)
		cmd.Env = append(os.Environ(), "HSMGATE_TEST_WRITE="+made)
		for _, had := range []os.FileMode{want, 0o604} {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if info, err := os.Stat(made); err != nil || info.Mode().Perm() != had {
				t.Errorf("umask %s: %v, %v, not %v", mask, info, err, had)
			}
			if err := os.Chmod(made, 0o604); err != nil {
				t.Fatal(err)
			}
			cmd = exec.CommandContext(t.Context(), cmd.Path, cmd.Args[1:]...)
			cmd.Env = append(os.Environ(), "HSMGATE_TEST_WRITE="+made)
		}
	}
}

// A signed copy of an artifact has the mode of the artifact.
func TestModeOfSignedCopy(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o600, 0o640, 0o750} {
		artifacts(t, "notes.txt")
		if err := os.Chmod("notes.txt", mode); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]struct {
			format *format.Format
			mode   os.FileMode
		}{"signed.txt": {format.Clearsign, mode}, "notes.asc": {format.OpenPGP, newMode}} {
			s := &signer{format: want.format, output: name, jobs: 1, key: func(*format.Format) (*format.Key, error) { return &format.Key{Signer: crypto.Signer(key)}, nil }}
			s.files(context.Background(), []string{"notes.txt"}, func(r signedFile) {
				if r.err != nil {
					t.Error(r.err)
				}
			})
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want.mode {
				t.Errorf("%s of one with %v: %v, %v", name, mode, info, err)
			}
		}
	}
}
