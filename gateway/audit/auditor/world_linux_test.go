package auditor

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

const origin = "log.example/hsmgate"

// world is a log with its tree, as the daemon writes it.
type world struct {
	t       *testing.T
	path    string
	private ed25519.PrivateKey
	key     string // verifier key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := tree.VerifierKey(origin, public)
	must(t, err)
	return &world{t: t, path: filepath.Join(t.TempDir(), "audit.log"), private: private, key: key}
}

// other is another log with the same key: what who holds the key can make.
func (w *world) other() *world {
	o := *w
	o.path = filepath.Join(w.t.TempDir(), "audit.log")
	return &o
}

func (w *world) trust() Trust {
	keys, err := tree.ParseKeys(w.key)
	must(w.t, err)
	return Trust{Log: keys}
}

// record is that of a signature over a file.
func record(file, signature string) *audit.Record {
	return &audit.Record{Operation: "Sign", Outcome: "allowed", Principal: "ci", Algorithm: "ECDSA_SHA_256", MessageType: "DIGEST",
		Digest: sha(file), SignatureHash: sha(signature)}
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// add appends n records of signatures over NAME1, NAME2 …
func (w *world) add(n int, name string) tree.Checkpoint {
	w.t.Helper()
	records := make([]*audit.Record, n)
	for i := range records {
		records[i] = record(fmt.Sprint(name, i+1), fmt.Sprint("signature of ", name, i+1))
	}
	return w.append(records...)
}

// append appends records and gives the checkpoint that covers them.
func (w *world) append(records ...*audit.Record) tree.Checkpoint {
	w.t.Helper()
	log, err := audit.Open(w.path, audit.Options{})
	must(w.t, err)
	defer log.Close()
	p, err := tree.Start(log, w.path, tree.Options{Origin: origin, Keys: []string{w.key}, Interval: 20 * time.Millisecond,
		Sign: func(_ context.Context, text []byte) ([]byte, error) { return ed25519.Sign(w.private, text), nil }})
	must(w.t, err)
	var last audit.Receipt
	for _, r := range records {
		last, err = log.Append(w.t.Context(), r)
		must(w.t, err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	c, err := p.Wait(ctx, last.Seq)
	must(w.t, err)
	must(w.t, p.Close(ctx))
	return c
}

// keep is a copy of everything as it is now.
func (w *world) keep() *world {
	w.t.Helper()
	o := w.other()
	folder := filepath.Dir(o.path)
	must(w.t, os.Remove(folder))
	must(w.t, os.CopyFS(folder, os.DirFS(filepath.Dir(w.path))))
	return o
}

func (w *world) file(name string) string { return filepath.Join(w.path+".tree", name) }

func (w *world) verify(saved ...Saved) Report {
	w.t.Helper()
	r, err := VerifyTree(w.path, w.trust(), saved)
	must(w.t, err)
	return r
}

// remote serves the tree as a web server serves files, and the records as bundles.
func (w *world) remote() Remote {
	files := http.FileServer(http.Dir(w.path + ".tree"))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if t, err := tree.ParseTileName(r.URL.Path[1:]); err == nil && t.L == -1 {
			data, err := tree.Bundle(w.path, t)
			if err != nil {
				http.NotFound(rw, r)
				return
			}
			_, _ = rw.Write(data)
			return
		}
		files.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	return Remote{Get: func(_ context.Context, name string) ([]byte, error) {
		resp, err := http.Get(server.URL + "/" + name)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusNotFound {
			return nil, fs.ErrNotExist
		}
		return io.ReadAll(resp.Body)
	}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// change changes the first occurrence of a byte string of a file; an empty one is its byte in the middle.
func change(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	if old == "" {
		data[len(data)/2] ^= 1
	} else {
		at := indexOf(t, string(data), old)
		data = append(append(append([]byte{}, data[:at]...), new...), data[at+len(old):]...)
	}
	must(t, os.WriteFile(path, data, 0o600))
}
