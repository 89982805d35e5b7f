package rest_test

import (
	"encoding/json"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// outcomes are the records of what callers did, without the beginnings of
// operations and without what the gateway did of itself.
func outcomes(g *gatewaytest.Gateway) []audit.Record {
	var kept []audit.Record
	for _, r := range g.Records() {
		if r.Phase == "" && r.Face != "internal" {
			kept = append(kept, r)
		}
	}
	return kept
}

// detail is the text of a problem document.
func detail(t testing.TB, a gatewaytest.Answer) string {
	t.Helper()
	var p struct{ Type, Title, Detail, RequestID string }
	if err := json.Unmarshal(a.Body, &p); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	if p.Title == "" || p.Type == "" || p.RequestID != a.Header.Get("X-Request-Id") || p.RequestID == "" {
		t.Errorf("a problem document without its members: %s", a.Body)
	}
	return p.Detail
}

// refusal checks that an answer is a problem document with that status and code
// and returns its text.
func refusal(t testing.TB, a gatewaytest.Answer, status int, code api.Code) string {
	t.Helper()
	if a.Status != status || a.Code() != string(code) {
		t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, code)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the refusal comes as %q", got)
	}
	return detail(t, a)
}
