package rest_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
)

// ofAWS are the operations of AWS KMS, by its model.
func ofAWS(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	var model struct{ Operations map[string]json.RawMessage }
	text, err := os.ReadFile("../testdata/kms-model.json")
	if err == nil {
		err = json.Unmarshal(text, &model)
	}
	if err != nil {
		t.Fatal(err)
	}
	return model.Operations
}

// TestTableOfOperations: docs/api.md has a line for each operation of AWS KMS, with its
// route, and says of each whether it works.
func TestTableOfOperations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	lines, known := make(map[string][]string), ofAWS(t)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if known[cells[1]] == nil {
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
	for name := range known {
		if lines[name] == nil {
			t.Errorf("%s has no line", name)
		}
	}
	for _, op := range gateway.Ops {
		cells := lines[op.Name]
		if known[op.Name] == nil {
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
