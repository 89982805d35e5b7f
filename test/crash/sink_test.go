package crash

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// siem is an HTTPS server for the records of a daemon.
type siem struct {
	*httptest.Server
	requests atomic.Int64

	mu  sync.Mutex
	got []uint64 // numbers of the records that were taken
}

// newSIEM starts one; judge says what is done to a request: 0 takes the records and cuts the connection, so that the
// daemon cannot know, and a negative number hangs until the client gives up or the test ends.
func newSIEM(t *testing.T, judge func() int) *siem {
	s := &siem{}
	end := make(chan struct{})
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		code := judge()
		if code < 0 {
			select {
			case <-r.Context().Done():
			case <-end:
			}
			return
		}
		if code < 300 {
			s.take(t, body)
		}
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
	}))
	t.Cleanup(func() { close(end); s.Close() })
	return s
}

func (s *siem) take(t *testing.T, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(body) {
		var r struct {
			AdditionalEventData struct{ Seq uint64 }
		}
		if err := json.Unmarshal(line, &r); err != nil || r.AdditionalEventData.Seq == 0 {
			t.Errorf("%q: %v", line, err)
		}
		s.got = append(s.got, r.AdditionalEventData.Seq)
	}
}

// sink is the configuration of a sink to the server.
func (s *siem) sink(t *testing.T, timeout string) any {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"name": "siem", "type": "http", "url": s.URL, "ca_file": ca, "format": "cloudtrail", "begin": "first", "timeout": timeout}
}

// TestKillLosesNothingOfASink kills the daemon at random moments under load, while the server that its sink sends to
// refuses, hangs, and takes records without saying so. In the end the server has every record of the log, in its order.
func TestKillLosesNothingOfASink(t *testing.T) {
	answers := []int{200, 200, 200, 500, 0, -1, 410}
	var well atomic.Bool
	s := newSIEM(t, func() int {
		if well.Load() {
			return 200
		}
		return answers[rand.IntN(len(answers))]
	})
	state := newState(t, daemon.Options{Sinks: []any{s.sink(t, "1s")}})
	p := start(t, state)
	k, err := newKey(p, "ECC_NIST_P256")
	if err != nil {
		t.Fatal(err)
	}
	for range 6 {
		l := startLoad(p, []key{k})
		l.flows(t, 1, time.Minute)
		time.Sleep(time.Duration(rand.IntN(2500)) * time.Millisecond) // the random moment
		p.Kill()
		l.end()
		p = start(t, state)
	}
	p.Kill()
	well.Store(true)
	p = start(t, state)
	want := logged(t, state.AuditLog())
	eventually(t, 2*time.Minute, "the server has all records", func() error { return s.has(want) })
	p.Kill()
	t.Logf("%d records in the log; %d came, in %d requests", len(want), len(s.got), s.requests.Load())
}

// has: each record came, and the first time that it did was in the log's order.
func (s *siem) has(want []uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, seen := 0, make(map[uint64]bool)
	for _, seq := range s.got {
		if seen[seq] {
			continue
		}
		if next == len(want) {
			return nil // records of calls since
		}
		if seq != want[next] {
			return fmt.Errorf("record %d came where %d should", seq, want[next])
		}
		seen[seq] = true
		next++
	}
	if next < len(want) {
		return fmt.Errorf("%d of %d records came", next, len(want))
	}
	return nil
}

// logged are the numbers of the records in a log.
func logged(t *testing.T, path string) (all []uint64) {
	r, err := audit.OpenReader(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l.Seq)
	}
}

// TestHangingSinkHoldsUpNobody: the server has one request of the sink and never answers it, while signatures are made.
func TestHangingSinkHoldsUpNobody(t *testing.T) {
	const signatures = 300
	s := newSIEM(t, func() int { return -1 })
	state := newState(t, daemon.Options{Sinks: []any{s.sink(t, "10m")}})
	p := start(t, state)
	k, err := newKey(p, "ECC_NIST_P256")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the sink hangs", func() error {
		if n := s.requests.Load(); n != 1 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	for range signatures {
		var out api.SignResponse
		if err := p.Call("POST", "/v1/keys/"+k.id+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": k.algorithm}, &out); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.requests.Load(); n != 1 || len(s.got) != 0 {
		t.Errorf("%d requests, %d records came", n, len(s.got))
	}
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
}
