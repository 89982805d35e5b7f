package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// brisk looks at its closed segments all the time.
func brisk(o Options) Options {
	o = small(o)
	o.Retry, o.Timeout, o.Check = time.Nanosecond, 20*time.Second, time.Millisecond
	return o
}

// A closed segment goes, or is cut, while the log is written: nothing is written until it is back.
func TestAClosedSegmentIsTouched(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, file string)
		text   string
	}{
		"deleted": {func(t *testing.T, file string) { must(t, os.Remove(file)) }, "records 4 to 6 cannot be found"},
		"cut":     {func(t *testing.T, file string) { must(t, os.Truncate(file, 100)) }, "and is 100"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			l := open(t, path, brisk(Options{}))
			want := add(t, l, 0, 12)
			s := segmentsOf(t, path)[1]
			copyFile(t, s.File, path+".copy")
			c.damage(t, s.File)
			until(t, "it is noticed", func() bool { return l.Ready() != nil })
			refused(t, l, c.text)
			if err := l.Close(); !errors.Is(err, ErrNotDurable) {
				t.Fatal(err)
			}
			if _, err := Open(path, brisk(Options{})); !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			must(t, os.Rename(path+".copy", s.File))
			l = open(t, path, brisk(Options{}))
			c.damage(t, func() string { copyFile(t, s.File, path+".copy"); return s.File }())
			until(t, "it is noticed", func() bool { return l.Ready() != nil })
			must(t, os.Rename(path+".copy", s.File))
			want = mended(t, l, want)
			must(t, l.Close())
			checkLog(t, path, want)
		})
	}
}

// Open says what is wrong with the closed segments, and changes nothing.
func TestOpenChecksClosedSegments(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(path string, s []Segment) error
		text   string
	}{
		"gone": {func(_ string, s []Segment) error { return os.Remove(s[0].File) }, "no segment holds records 1 to 3"},
		"renamed": {func(path string, s []Segment) error {
			return os.Rename(s[0].File, filepath.Join(SegmentsPath(path), segmentName(1, 4)+plainSuffix))
		}, "holds records"},
		"cut":          {func(_ string, s []Segment) error { return os.Truncate(s[1].File, 900) }, "ends with record 4"},
		"another's":    {func(_ string, s []Segment) error { l, _ := chain(3); return os.WriteFile(s[0].File, join(l), 0o600) }, "does not continue record 3"},
		"not a record": {func(_ string, s []Segment) error { return os.WriteFile(s[0].File, []byte("hello\n"), 0o600) }, "is not a record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			l := open(t, path, brisk(Options{}))
			add(t, l, 0, 12)
			must(t, l.Close())
			must(t, c.damage(path, segmentsOf(t, path)))
			if _, err := Open(path, brisk(Options{})); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.text) {
				t.Fatal(err)
			}
		})
	}
}

// A crash of the machine can leave a head that is older than the file that is being written.
func TestOpenWithAHeadInAClosedSegment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, brisk(Options{}))
	want := add(t, l, 0, 12)
	must(t, l.Close())
	must(t, replaceHead(path, want[1]))
	l = open(t, path, brisk(Options{}))
	want = append(want, add(t, l, 12, 1)...)
	must(t, l.Close())
	checkLog(t, path, want)
	must(t, replaceHead(path, Receipt{2, want[3].Hash}))
	if _, err := Open(path, brisk(Options{})); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "record 2 is not the one that the head names") {
		t.Fatal(err)
	}
	must(t, os.Remove(HeadPath(path)))
	if _, err := Open(path, brisk(Options{})); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	must(t, os.Remove(path)) // the closed segments are all that is left
	r, err := Adopt(path)
	must(t, err)
	last := want[r.Records-1]
	if r.End != last {
		t.Fatal(r.End, last)
	}
	l = open(t, path, brisk(Options{}))
	if r := add(t, l, 0, 1)[0]; r.Seq != last.Seq+1 {
		t.Fatal(r)
	}
}

// A closed segment that was changed is not compressed: its original is what can be examined.
func TestAChangedSegmentIsNotCompressed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, brisk(Options{}))
	add(t, l, 0, 12)
	must(t, l.Close())
	s := segmentsOf(t, path)[0]
	b, err := os.ReadFile(s.File)
	must(t, err)
	must(t, os.WriteFile(s.File, []byte(strings.Replace(string(b), "allowed", "alIowed", 1)), 0o600))
	o := brisk(Options{})
	o.Uncompressed = false
	l = open(t, path, o)
	until(t, "it is told", func() bool { return l.Stats().Trouble != nil })
	if err := l.Stats().Trouble; !strings.Contains(err.Error(), "does not continue the chain") {
		t.Fatal(err)
	}
	must(t, l.Close())
	if segmentsOf(t, path)[0].Compressed {
		t.Fatal("it was compressed")
	}
	r, err := VerifyFile(path, VerifyOptions{})
	must(t, err)
	found(t, r, "changed 1")
}

func TestRetention(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var mu sync.Mutex
	var sealed []Receipt
	fails := errors.New("the token is away")
	o := brisk(Options{Retention: time.Hour})
	l := open(t, path, o)
	want := add(t, l, 0, 12)
	until(t, "it is told", func() bool { return l.Stats().Trouble != nil })
	if err := l.Stats().Trouble; !strings.Contains(err.Error(), "nobody who seals") {
		t.Fatal(err)
	}
	must(t, l.Close())
	checkLog(t, path, want)

	o.Seal = func(r Receipt) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		sealed = append(sealed, r)
		return fmt.Appendf(nil, "signed: %s\n", r), fails
	}
	l = open(t, path, o)
	until(t, "it is told", func() bool { return l.Stats().Trouble != nil && errors.Is(l.Stats().Trouble, fails) })
	holds(t, path, want)
	mu.Lock()
	fails = nil
	mu.Unlock()
	until(t, "removal", func() bool { return l.Stats().Segments == 0 && l.Stats().Trouble == nil })
	must(t, l.Close())
	cut, err := ReadCut(path)
	must(t, err)
	if !slices.Contains(sealed, cut.Last) || string(cut.Signed) != "signed: "+cut.Last.String()+"\n" || cut.Last != want[cut.Last.Seq-1] {
		t.Fatalf("%+v", cut)
	}
	checkLog(t, path, want[cut.Last.Seq-1:]) // the last one that was removed is known, too

	// Another log's cut removes nothing.
	o.Retention = 0
	l = open(t, path, o)
	want = append(want, add(t, l, 12, 12)...)
	must(t, l.Close())
	must(t, os.WriteFile(CutPath(path), Cut{Last: Receipt{20, want[3].Hash}}.encode(), 0o600))
	before := segmentFiles(t, path)
	if _, err := Open(path, o); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	k := &keeper{path: path, opts: o.withDefaults(), trouble: map[chore]error{}}
	if err := k.removeCut(); err == nil || !slices.Equal(segmentFiles(t, path), before) {
		t.Fatal(err)
	}
	must(t, os.WriteFile(CutPath(path), cut.encode(), 0o600))
	checkLog(t, path, want[cut.Last.Seq:])
}

// Retention that has to wait for who seals is no trouble, and begins when he is there.
func TestRetentionWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var asked atomic.Int64
	var there atomic.Bool
	var told atomic.Int64
	o := brisk(Options{Retention: time.Hour, OnTrouble: func(string, error) { told.Add(1) }, Seal: func(Receipt) ([]byte, error) {
		if asked.Add(1); !there.Load() {
			return nil, ErrSealLater
		}
		return nil, nil
	}})
	l := open(t, path, o)
	want := add(t, l, 0, 12)
	until(t, "it is asked again", func() bool { return asked.Load() > 3 })
	if err := l.Stats().Trouble; err != nil || told.Load() != 0 {
		t.Fatal(told.Load(), err)
	}
	if _, err := ReadCut(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	holds(t, path, want)
	there.Store(true)
	until(t, "removal", func() bool { return l.Stats().Segments == 0 })
	must(t, l.Close())
}

func segmentFiles(t testing.TB, path string) (names []string) {
	entries, err := os.ReadDir(SegmentsPath(path))
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Young segments stay, whatever comes after them.
func TestRetentionKeepsWhatIsYoung(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	o := brisk(Options{Retention: time.Hour, Seal: func(Receipt) ([]byte, error) { return nil, nil }})
	l := open(t, path, o)
	for i := range 12 {
		r := sample(i)
		if r.Time = time.Now().Add(-time.Minute); i < 6 {
			r.Time = time.Now().Add(-2 * time.Hour)
		}
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "removal", func() bool { _, err := ReadCut(path); return err == nil && l.Ready() == nil })
	must(t, l.Close())
	cut, err := ReadCut(path)
	if err != nil || cut.Last.Seq > 6 {
		t.Fatal(cut, err)
	}
	if first := segmentsOf(t, path)[0]; first.First > 7 {
		t.Fatal(first)
	}
}
