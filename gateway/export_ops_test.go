package gateway_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/export"
)

// TestEventSources: the shapes know which operations AWS has an event of, and which of them change nothing.
func TestEventSources(t *testing.T) {
	cloudTrail, err := export.New("cloudtrail", export.Home{})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range slices.Concat([]*gateway.Op{gateway.GetMetrics, gateway.Timestamp}, gateway.Ops, gateway.STS) {
		text, err := cloudTrail(nil, audit.Line{Text: []byte(`{"seq":1,"time":"2026-01-01T00:00:00Z","operation":"` + op.Name + `"}`)})
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			EventSource string
			ReadOnly    bool
		}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		want := "kms.amazonaws.com"
		switch {
		case slices.Contains(gateway.STS, op):
			want = "sts.amazonaws.com"
		case op.BeyondKMS(), strings.HasPrefix(op.Permission(), "hsmgate:"):
			want = "hsmgate"
		}
		if e.EventSource != want {
			t.Errorf("%s is of %s, want %s", op.Name, e.EventSource, want)
		}
		if op.Method == http.MethodGet && !e.ReadOnly || (op.Method == http.MethodPut || op.Method == http.MethodDelete) && e.ReadOnly {
			t.Errorf("%s %s: readOnly is %v", op.Method, op.Name, e.ReadOnly)
		}
	}
}
