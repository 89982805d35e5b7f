package scripts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// notRun says how the blocks begin that are no commands, or need what is not there.
var notRun = []string{
	"aws ", "kubectl ", // programs of others
	`"`, "{", "rules:", "RECORD ", // parts of records, policies, settings and answers
}

// documented are the documents whose blocks are run, and what has to be so after the
// last one.
var documented = map[string]string{
	"access.md":      "hsmgate audit verify var/audit/audit.log",
	"audit-query.md": "test $(hsmgate audit query var/audit/audit.log --signature app.sig --count) = 1",
	"approval.md":    `grep -q '"operation":"Sign".*"approvalId"' var/audit/audit.log`,
	"monitoring.md":  `grep -q '"operation":"GetMetrics","outcome":"allowed"' var/audit/audit.log`,
	"identity.md":    "hsmgated role list --state ./var | grep -q ^release",
	"siem.md":        "jq -e '.Records | length > 0' events.json >/dev/null && test -s hour.jsonl && grep -q '^whsec_.\\{44\\}$' pager.secret",
}

// reader are the commands of a document as they are typed: one that is refused, since the
// daemon sees a second later what hsmgated has changed, is typed again.
const reader = `again() {
  tries=0
  until command "$@" 2>said; do
    code=$? tries=$((tries + 1))
    case $code-$tries in 3-120 | 4-120 | 6-120 | 25?-120 | [!346]-* | [!2]??-*) cat said >&2; return $code ;; esac
    sleep 0.5
  done
}
hsmgate() { again hsmgate "$@"; }
aws() { again aws "$@"; }
. ./var/admin.env
`

// gatewayOfReader is what 'make run' does, in a checkout.
const gatewayOfReader = `exec git init -q .
exec git add file.txt
exec git -c user.name=reader -c user.email=reader@example.com commit -q -m start
token var
daemon d quickstart --state var --addr 127.0.0.1:0
exec sh -e document.sh
terminate d
-- file.txt --
a file
-- document.sh --
`

// TestDocuments runs the blocks of documents as they are written, in their order.
func TestDocuments(t *testing.T) {
	folder := t.TempDir()
	for name, end := range documented {
		blocks := commands(t, filepath.Join("../../docs", name))
		if len(blocks) == 0 {
			t.Errorf("%s has no commands", name)
		}
		script := gatewayOfReader + reader + strings.Join(blocks, "") + "echo '# the end of " + name + "' >&2\n" + end + "\n"
		if err := os.WriteFile(filepath.Join(folder, strings.TrimSuffix(name, ".md")+".txtar"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, params(t, folder))
}

// commands are the indented blocks of a document that are for a shell, each behind a
// line that says where it stands.
func commands(t *testing.T, path string) (blocks []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		from := i
		var block strings.Builder
		for ; i < len(lines) && strings.HasPrefix(lines[i], "    "); i++ {
			block.WriteString(lines[i][4:] + "\n")
		}
		runs := !slices.ContainsFunc(notRun, func(start string) bool { return strings.HasPrefix(block.String(), start) })
		if block.Len() > 0 && runs && lines[from-1] == "" {
			blocks = append(blocks, fmt.Sprintf("echo '# %s, line %d' >&2\n%s", filepath.Base(path), from+1, block.String()))
		}
	}
	return blocks
}
