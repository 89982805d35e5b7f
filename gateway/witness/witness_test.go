package witness

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/witness/witnesstest"
)

func at(t *testing.T, w *witnesstest.Witness) *Witness {
	t.Helper()
	key, err := ParseKey(w.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &Witness{URL: w.URL, Key: key, HTTP: http.DefaultClient}
}

// TestCosignatures: each witness cosigns each checkpoint, and the cosigned checkpoint is a note that both keys verify.
func TestCosignatures(t *testing.T) {
	t.Parallel()
	g, h := newGrowing(t), &heard{}
	one, two := witnesstest.New(t, "one.example", g.key), witnesstest.New(t, "two.example", g.key)
	p := startPusher(t, g, h, []*Witness{at(t, one), at(t, two)}, nil)
	for _, n := range []int{1, 255, 3} {
		c := g.grow(n, "a")
		p.Published(c)
		eventually(t, "both have cosigned", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.lines[c.Tree.N]) == 2 })
		signed := string(c.Text) + strings.Join(h.lines[c.Tree.N], "")
		got, err := tree.ParseCheckpoint([]byte(signed), append(slices.Clone(g.keys), at(t, one).Key, at(t, two).Key)...)
		if err != nil || len(got.Signed) != 3 {
			t.Errorf("%v\n%s", err, signed)
		}
	}
	for _, s := range p.States() {
		if s.Size != 259 || s.Behind != 0 || s.Err != nil {
			t.Errorf("%+v", s)
		}
	}
	// A process that starts anew asks the witness where it stands.
	again := startPusher(t, g, h, []*Witness{at(t, one)}, nil)
	c := g.grow(40, "a")
	again.Published(c)
	eventually(t, "it is cosigned", func() bool { return one.Latest(origin) == c.Tree })
}

// TestWitnessAway: nobody waits for it, it is told once, and it gets the newest checkpoint when it is back.
func TestWitnessAway(t *testing.T) {
	t.Parallel()
	g, h := newGrowing(t), &heard{}
	w := witnesstest.New(t, "w.example", g.key)
	w.SetDown(true)
	p := startPusher(t, g, h, []*Witness{at(t, w)}, nil)
	var c tree.Checkpoint
	for range 50 {
		c = g.grow(7, "a")
		p.Published(c)
	}
	eventually(t, "it is told", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.states) == 1 })
	if s := p.States()[0]; s.Behind == 0 || s.Err == nil || s.Size != 0 {
		t.Errorf("%+v", s)
	}
	w.SetDown(false)
	eventually(t, "it has the newest", func() bool { return w.Latest(origin) == c.Tree && p.States()[0].Behind == 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.states) != 2 || !strings.Contains(h.states[0], "503") || h.states[1] != "w.example: <nil>" {
		t.Errorf("%q", h.states)
	}
}

// TestWitnessFindsOut: a log that is put back, or that goes on in another way, is told as what it is.
func TestWitnessFindsOut(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*growing) tree.Checkpoint{
		"put back":           func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(0, "") },
		"forked":             func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(40, "b") },
		"forked and went on": func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(90, "b") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGrowing(t)
			w := witnesstest.New(t, "w.example", g.key)
			if _, err := at(t, w).push(t.Context(), g.grow(100, "a"), g.prove); err != nil {
				t.Fatal(err)
			}
			before := w.Latest(origin)
			if _, err := at(t, w).push(t.Context(), change(g), g.prove); !errors.Is(err, ErrInconsistent) {
				t.Errorf("it is %v", err)
			}
			if w.Latest(origin) != before {
				t.Error("the witness took it")
			}
		})
	}
}

// TestBadAnswers: what is not the pinned key's cosignature of this checkpoint is none.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	g := newGrowing(t)
	c, other := g.grow(3, "a"), g.grow(1, "a")
	w := witnesstest.New(t, "w.example", g.key)
	line := func(c tree.Checkpoint) string {
		made, err := at(t, w).push(t.Context(), c, g.prove)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	good, ofOther := line(c), line(other)
	imposter := at(t, witnesstest.New(t, "w.example", g.key))
	for name, a := range map[string]struct {
		status int
		body   string
		key    note.Verifier
		want   string
	}{
		"another key":         {200, good, imposter.Key, "no cosignature of w.example"},
		"another checkpoint":  {200, ofOther, nil, "no cosignature"},
		"nothing":             {200, "", nil, "no cosignature"},
		"more than it may be": {200, good + strings.Repeat("— x.example AAAAAAAA\n", 5000), nil, "no cosignature"},
		"no size":             {409, "many\n", nil, "409 without the size"},
		"a negative size":     {409, "-1\n", nil, "409 without the size"},
		"a size of its own":   {409, "7000000\n", nil, "7000000 records"},
		"not known":           {404, "who?", nil, "does not know this log"},
		"a redirect":          {302, "", nil, "302"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(a.status)
				_, _ = rw.Write([]byte(a.body))
			}))
			defer server.Close()
			asked := at(t, w)
			asked.URL = server.URL
			if a.key != nil {
				asked.Key = a.key
			}
			if got, err := asked.push(t.Context(), c, g.prove); err == nil || !strings.Contains(err.Error(), a.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// TestKeys: a key that is not whole, or of another kind, is refused with what is wrong.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := witnesstest.New(t, "w.example")
	good := w.Key
	for name, text := range map[string]string{
		"empty": "", "no key": "w.example+12345678+", "another name": strings.Replace(good, "w.example", "v.example", 1),
		"a key for notes": newGrowing(t).key,
		"cut":             good[:len(good)-4],
	} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if k, err := ParseKey(good); err != nil || k.Name() != "w.example" {
		t.Error(err)
	}
}
