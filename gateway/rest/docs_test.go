package rest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestTableOfOperations: docs/api.md has a line for each operation of AWS KMS, with its
// route, and says of each whether it works.
func TestTableOfOperations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if _, ok := api.Types[cells[1]]; !ok {
			continue
		}
		if lines[cells[1]] != nil {
			t.Errorf("%s has two lines", cells[1])
		}
		lines[cells[1]] = cells
		if how := cells[2]; how != "works" && how != "differs" && how != "refused" {
			t.Errorf("%s: %q", cells[1], how)
		}
	}
	for name := range api.Types {
		if lines[name] == nil {
			t.Errorf("%s has no line", name)
		}
	}
	for _, op := range gateway.Ops {
		cells := lines[op.Name]
		if _, ok := api.Types[op.Name]; !ok {
			continue
		}
		if cells == nil || cells[3] != op.Method+" "+op.Path {
			t.Errorf("%s is at %s %s: %v", op.Name, op.Method, op.Path, cells)
			continue
		}
		if byAlias := strings.Contains(cells[4], "by alias"); op.ByAlias() != byAlias && op.Name != "DeleteAlias" {
			t.Errorf("%s takes an alias: %v, and not so in the table", op.Name, op.ByAlias())
		}
	}
}
