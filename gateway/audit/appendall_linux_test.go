package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAppendAllBoundsLines as Append does.
func TestAppendAllBoundsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r := longest(t)
	r.Time = time.Unix(1, 0) // of as many digits in each
	if _, err := l.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAll(t.Context(), []*Record{r, r}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		if len(lines) != 3 || len(line) > MaxLine || len(line) != len(lines[0]) {
			t.Errorf("line %d of %d has %d bytes, that of Append %d", i+1, len(lines), len(line), len(lines[0]))
		}
	}
}
