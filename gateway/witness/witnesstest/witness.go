// Package witnesstest is a witness as c2sp.org/tlog-witness has it, for tests: it verifies, remembers and cosigns.
package witnesstest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Witness is a running one.
type Witness struct {
	URL string
	Key string // its verifier key

	signer note.Signer
	mu     sync.Mutex
	logs   []note.Verifier
	latest map[string]tlog.Tree // by origin
	down   bool
}

// New starts a witness of that name, which knows the logs of these verifier keys. It is stopped with the test.
func New(t testing.TB, name string, logs ...string) *Witness {
	t.Helper()
	w, stop, err := Start(name, logs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return w
}

// Start is New outside of a test of Go.
func Start(name string, logs ...string) (w *Witness, stop func(), err error) {
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, nil, err
	}
	w = &Witness{latest: map[string]tlog.Tree{}}
	if w.signer, err = formats.NewSignerForCosignatureV1(secret); err != nil {
		return nil, nil, err
	}
	if w.Key, err = formats.VKeyToCosignatureV1(public); err != nil {
		return nil, nil, err
	}
	for _, log := range logs {
		keys, err := tree.ParseKeys(log)
		if err != nil {
			return nil, nil, err
		}
		w.logs = append(w.logs, keys...)
	}
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	w.URL = server.URL
	return w, server.Close, nil
}

// SetDown has it answer 503 until it is set up again.
func (w *Witness) SetDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// Latest is the last tree of a log that it has cosigned.
func (w *Witness) Latest(origin string) tlog.Tree {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest[origin]
}

func (w *Witness) serve(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/add-checkpoint" {
		http.Error(rw, "not a request that a witness knows", http.StatusBadRequest)
		return
	}
	status, answer := w.add(body)
	if status == http.StatusConflict {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
	}
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, answer)
}

func (w *Witness) add(body []byte) (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return http.StatusServiceUnavailable, "down\n"
	}
	old, proof, signed, err := parse(body)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	c, err := tree.ParseCheckpoint(signed, w.logs...)
	switch {
	case err != nil:
		return http.StatusForbidden, err.Error()
	case old > c.Tree.N:
		return http.StatusBadRequest, "the old size is larger than the checkpoint's"
	case old != w.latest[c.Origin].N, old == c.Tree.N && c.Tree != w.latest[c.Origin]:
		return http.StatusConflict, fmt.Sprintf("%d\n", w.latest[c.Origin].N)
	}
	if tree.CheckTree(proof, c.Tree, w.latest[c.Origin]) != nil {
		return http.StatusUnprocessableEntity, "the consistency proof is not good"
	}
	w.latest[c.Origin] = c.Tree
	cosigned, err := note.Sign(&note.Note{Text: string(signed[:bytes.LastIndex(signed, []byte("\n\n"))+1])}, w.signer)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	_, lines, _ := strings.Cut(string(cosigned), "\n\n")
	return http.StatusOK, lines
}

// parse reads an old size, the lines of a proof, an empty line and a checkpoint.
func parse(body []byte) (old int64, proof tlog.TreeProof, signed []byte, err error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	size, isOld := strings.CutPrefix(lines[0], "old ")
	old, err = strconv.ParseInt(size, 10, 64)
	if !ok || !isOld || err != nil || old < 0 || len(lines) > 64 {
		return 0, nil, nil, errors.New("the request is not of the form of add-checkpoint")
	}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			return 0, nil, nil, errors.New("a line of the proof is no hash")
		}
		proof = append(proof, tlog.Hash(h))
	}
	return old, proof, signed, nil
}
