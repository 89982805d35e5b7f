package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

const origin = "log.example/hsmgate"

// growing is the tree of a log that grows, with a key of its own.
type growing struct {
	t      *testing.T
	key    string // verifier key
	keys   []note.Verifier
	signer note.Signer
	leaves []tlog.Hash
	hashes []tlog.Hash // as package tlog stores them
}

func newGrowing(t *testing.T) *growing {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := &growing{t: t}
	if g.key, err = tree.VerifierKey(origin, public); err != nil {
		t.Fatal(err)
	}
	if g.keys, err = tree.ParseKeys(g.key); err != nil {
		t.Fatal(err)
	}
	g.signer, err = tree.NewSigner(g.key, func(text []byte) ([]byte, error) { return ed25519.Sign(private, text), nil })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *growing) read(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = g.hashes[x]
	}
	return out, nil
}

// grow adds records and signs a checkpoint.
func (g *growing) grow(n int, name string) tree.Checkpoint {
	g.t.Helper()
	for range n {
		h := tlog.RecordHash(fmt.Appendf(nil, "%s %d", name, len(g.leaves)))
		stored, err := tlog.StoredHashesForRecordHash(int64(len(g.leaves)), h, tlog.HashReaderFunc(g.read))
		if err != nil {
			g.t.Fatal(err)
		}
		g.leaves, g.hashes = append(g.leaves, h), append(g.hashes, stored...)
	}
	root, err := tlog.TreeHash(int64(len(g.leaves)), tlog.HashReaderFunc(g.read))
	if err != nil {
		g.t.Fatal(err)
	}
	c, err := tree.SignCheckpoint(origin, tlog.Tree{N: int64(len(g.leaves)), Hash: root}, g.signer)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// cut takes the records after the first n away: the log is put back from an older copy.
func (g *growing) cut(n int) {
	g.leaves = g.leaves[:n]
	g.hashes = g.hashes[:tlog.StoredHashCount(int64(n))]
}

func (g *growing) prove(newer, older tlog.Tree) (tlog.TreeProof, error) {
	return tlog.ProveTree(newer.N, older.N, tlog.HashReaderFunc(g.read))
}

// heard is what a pusher says.
type heard struct {
	mu     sync.Mutex
	states []string
	lines  map[int64][]string // cosignatures by size
}

func (h *heard) onState(place string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = append(h.states, fmt.Sprintf("%s: %v", filepath.Base(place), err))
}

func (h *heard) cosigned(c Cosigned) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lines == nil {
		h.lines = map[int64][]string{}
	}
	h.lines[c.Checkpoint.Tree.N] = append(h.lines[c.Checkpoint.Tree.N], c.Line)
}

// startPusher runs one until the end of the test.
func startPusher(t *testing.T, g *growing, h *heard, witnesses []*Witness, files []*File) *Pusher {
	t.Helper()
	p := New(Options{Witnesses: witnesses, Files: files, Prove: g.prove, Cosigned: h.cosigned, OnState: h.onState})
	done := make(chan struct{})
	go func() { defer close(done); p.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	return p
}

// eventually waits until f says yes.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
