package witness

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// TestFile: the newest checkpoint and all of them, whatever a crash has left.
func TestFile(t *testing.T) {
	t.Parallel()
	g, h := newGrowing(t), &heard{}
	f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
	p := startPusher(t, g, h, nil, []*File{f})
	var all []string
	for i := range 3 {
		c := g.grow(100, "a")
		p.Published(c)
		all = append(all, string(c.Text))
		eventually(t, "it is there", func() bool { return p.States()[0].Size == c.Tree.N })
		if got, err := os.ReadFile(f.Path); err != nil || string(got) != string(c.Text) {
			t.Errorf("%q, %v", got, err)
		}
		if i == 1 { // a crash in the middle of a line
			append0(t, f.Path+historySuffix, `{"time":"2026-01-01T00:00:00Z","checkpo`)
		}
	}
	text, err := os.ReadFile(f.Path + historySuffix)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var p tree.Published
		if json.Unmarshal([]byte(line), &p) == nil {
			got = append(got, p.Checkpoint)
		}
	}
	if strings.Join(got, "|") != strings.Join(all, "|") {
		t.Errorf("the history is\n%s", text)
	}
}

func append0(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFileFindsOut: what lies there and is not the beginning of this log is told and stays.
func TestFileFindsOut(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*growing) tree.Checkpoint{
		"put back": func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(1, "a") },
		"forked":   func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(40, "b") },
		"rewrote":  func(g *growing) tree.Checkpoint { g.cut(0); return g.grow(200, "b") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGrowing(t)
			f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
			old := g.grow(100, "a")
			if _, err := f.push(t.Context(), old, g.prove); err != nil {
				t.Fatal(err)
			}
			if _, err := f.push(t.Context(), change(g), g.prove); !errors.Is(err, ErrInconsistent) {
				t.Errorf("it is %v", err)
			}
			if got, _ := os.ReadFile(f.Path); string(got) != string(old.Text) {
				t.Errorf("it was overwritten: %q", got)
			}
		})
	}
	t.Run("not ours", func(t *testing.T) {
		g := newGrowing(t)
		f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
		for _, there := range []string{"a letter", string(newGrowing(t).grow(3, "a").Text)} {
			if err := os.WriteFile(f.Path, []byte(there), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := f.push(t.Context(), g.grow(1, "a"), g.prove); err == nil || !strings.Contains(err.Error(), "left alone") {
				t.Error(err)
			}
			if got, _ := os.ReadFile(f.Path); string(got) != there {
				t.Errorf("it was overwritten: %q", got)
			}
		}
	})
}
