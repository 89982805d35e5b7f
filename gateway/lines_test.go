package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestEveryCallLeavesOneLine: 10,000 signatures leave 10,000 lines in the log of
// operations and 10,000 records in the audit log, each under its request id.
func TestEveryCallLeavesOneLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "operations.log")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	log := gateway.NewLog(out, zap.InfoLevel)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Log: log})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	const callers, each = 16, 625
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: fmt.Appendf(nil, "%d %d", c, i), SigningAlgorithm: api.ECDSASHA256})
				if a.Status != 200 {
					t.Errorf("%d %s", a.Status, a.Body)
					return
				}
			}
		})
	}
	wg.Wait()
	records, digests := make(map[string]bool), make(map[string]bool)
	for _, r := range g.Records() {
		if r.Operation == "Sign" {
			records[r.RequestID], digests[r.Digest] = true, true
		}
	}
	if len(records) != callers*each || len(digests) != callers*each {
		t.Errorf("%d records of %d messages", len(records), len(digests))
	}
	report := intact(t, g)
	if want := uint64(callers*each + 2); report.Records != want { // and two of CreateKey
		t.Errorf("%d records, want %d", report.Records, want)
	}
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, line := range bytes.Split(bytes.TrimSpace(content), []byte("\n")) {
		var l struct {
			RequestID, Operation, Outcome, Principal, Time string
			AuditSeq                                       uint64
			LatencyMicros                                  int64
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Operation == "Sign" && records[l.RequestID] && l.AuditSeq > 0 && l.Outcome == "allowed" && l.Principal == g.Admin.ARN && l.Time != "" && l.LatencyMicros > 0 {
			lines++
			delete(records, l.RequestID)
		}
	}
	if lines != callers*each || len(records) != 0 {
		t.Errorf("%d lines; %d records have none", lines, len(records))
	}
}
