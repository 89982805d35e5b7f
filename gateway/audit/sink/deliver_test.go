package sink

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// picky is a server that answers with a code whatever has a word in it, and takes all else.
func picky(t *testing.T, code int, word string) *siem {
	s := newSIEM(t)
	s.always = func(w http.ResponseWriter, body []byte) bool {
		if bytes.Contains(body, []byte(word)) {
			return answer(code)(w, nil)
		}
		return true
	}
	return s
}

// TestRefusedRecord: a record that a server never takes gives way to a line that says where it is, and stops no other.
func TestRefusedRecord(t *testing.T) {
	for code, member := range map[int]string{http.StatusRequestEntityTooLarge: "tooLong", http.StatusBadRequest: "refused", http.StatusForbidden: "refused"} {
		for _, body := range []string{"ndjson", "single"} {
			t.Run(fmt.Sprint(code, body), func(t *testing.T) {
				s := picky(t, code, `"artifactName":"poison"`)
				b := newBench(t)
				b.add(150, "Sign")
				r, err := b.log.Append(t.Context(), &audit.Record{Operation: "Sign", ArtifactName: "poison"})
				if err != nil {
					t.Fatal(err)
				}
				b.want = append(b.want, r.Seq)
				b.add(150, "Sign")
				b.start(Config{Name: "siem", Type: "http", URL: s.URL, CAFile: s.ca, Body: body, Begin: "first"})
				b.until("all is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "siem") == 0 })
				b.stop()
				atLeastOnce(t, s.taken(t), b.want)
				stub := fmt.Sprintf(`{"seq":%d,"hash":"%s","%s":`, r.Seq, r.Hash, member)
				found := false
				for _, q := range s.all() {
					found = found || q.taken && strings.HasPrefix(string(q.body), stub)
				}
				if !found {
					t.Errorf("nobody got %s", stub)
				}
				if n := b.metric("hsmgate_audit_sink_replaced_total", "siem"); n != 1 {
					t.Errorf("%v records are counted", n)
				}
				if told := b.lines.FilterMessage("the server takes a record in no form: a line with its number and hash went in its place").All(); len(told) != 1 || told[0].ContextMap()["seq"] != r.Seq {
					t.Error(b.lines.All())
				}
			})
		}
	}
}

// TestRefusedForAWhile: a server that refuses everything, as with credentials that are wrong, costs no record its text.
func TestRefusedForAWhile(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusBadRequest, http.StatusRequestEntityTooLarge} {
		for mended := range 12 { // before each of the requests: the record, the stub
			s := newSIEM(t)
			for range 8 + mended { // the first of them are spent on making the batch smaller
				s.next = append(s.next, answer(code))
			}
			b := newBench(t)
			b.add(16, "Sign")
			b.start(Config{Name: "siem", Type: "http", URL: s.URL, CAFile: s.ca, Begin: "first"})
			b.until("all is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "siem") == 0 })
			b.stop()
			whole := make(map[uint64]bool)
			for _, r := range s.all() {
				for line := range strings.Lines(string(r.body)) {
					if r.taken && strings.Contains(line, `"operation":"Sign"`) {
						whole[seqOf(t, line)] = true
					}
				}
			}
			if n := b.metric("hsmgate_audit_sink_replaced_total", "siem"); n != 0 || len(whole) != 16 {
				t.Errorf("%d, mended after %d: %v are replaced, %d came whole", code, mended, n, len(whole))
			}
		}
	}
}

// TestLimitGrows: after a request that was too large, requests become as large again.
func TestLimitGrows(t *testing.T) {
	s := newSIEM(t, answer(413), answer(413), answer(413), answer(413))
	b := newBench(t)
	b.add(2000, "Sign")
	b.start(Config{Name: "siem", Type: "http", URL: s.URL, CAFile: s.ca, Begin: "first", Batch: 64})
	b.until("all is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "siem") == 0 })
	b.stop()
	atLeastOnce(t, s.taken(t), b.want)
	smallest := 64
	for _, r := range s.all() {
		if r.taken {
			smallest = min(smallest, bytes.Count(r.body, []byte("\n")))
		}
	}
	largest := 0
	for _, r := range s.all()[8:] {
		largest = max(largest, bytes.Count(r.body, []byte("\n")))
	}
	if smallest > 4 || largest != 64 {
		t.Errorf("from %d records up to %d", smallest, largest)
	}
}

// TestSlowServer: a server that has the time for a few records at once gets few, and in the end all.
func TestSlowServer(t *testing.T) {
	const few = 8
	s := newSIEM(t)
	s.always = func(_ http.ResponseWriter, body []byte) bool {
		if bytes.Count(body, []byte("\n")) <= few {
			return true
		}
		<-s.release
		return false
	}
	b := newBench(t)
	b.add(100, "Sign")
	b.start(Config{Name: "siem", Type: "http", URL: s.URL, CAFile: s.ca, Begin: "first", Batch: 64, Timeout: 500 * time.Millisecond})
	b.until("all is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "siem") == 0 })
	b.stop()
	atLeastOnce(t, s.taken(t), b.want)
}
