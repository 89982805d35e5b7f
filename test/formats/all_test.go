package formats

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// TestFormatsAll: every format is judged by another's tool. A row's name begins with that of its format; efi is a kind
// of pe.
func TestFormatsAll(t *testing.T) {
	judged := map[string]bool{}
	for _, r := range rows {
		name, _, _ := strings.Cut(r.name, " ")
		judged[name] = true
		if _, err := format.Named(name); err != nil && name != "efi" {
			t.Errorf("row %s: %v", r.name, err)
		}
	}
	for _, f := range format.All {
		if !judged[f.Name] {
			t.Errorf("no row has a tool judge %s", f.Name)
		}
	}
}
