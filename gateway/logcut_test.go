package gateway_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// A daemon does not go on with a log whose beginning is gone, unless its log's key has signed for that.
func TestACutThatNobodySignedIsRefused(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	g.CreateKey(api.P256, api.SignVerify)
	last := g.Audit.Head()
	signed, err := g.Service.SealLog(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(audit.SegmentsPath(g.AuditPath), 0o700); err != nil {
		t.Fatal(err)
	}
	start := func(signed string) error {
		text := "hsmgate-audit-cut 1 " + last.String() + " "
		check := sha256.Sum256([]byte(text + signed))
		if err := os.WriteFile(audit.CutPath(g.AuditPath), fmt.Appendf(nil, "%s%x\n%s", text, check[:8], signed), 0o600); err != nil {
			t.Fatal(err)
		}
		return g.Service.Start(t.Context())
	}
	if err := start(string(signed)); err != nil {
		t.Fatal(err)
	}
	if err := start("no signature"); !errors.Is(err, audit.ErrDamaged) || !strings.Contains(err.Error(), "find out who removed them") {
		t.Fatal(err)
	}
}
