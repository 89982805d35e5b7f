package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// small makes segments of a few records, which stay as they are.
func small(o Options) Options {
	o.SegmentSize, o.Uncompressed, o.SegmentAge = 2000, true, -1
	if o.Timeout == 0 {
		o.Timeout = time.Minute // a machine with much to do is no broken disk
	}
	return o
}

// holds checks that the log, which may be open, holds exactly the given records, and gives its files.
func holds(t testing.TB, path string, want []Receipt) []Segment {
	t.Helper()
	r, err := VerifyFile(path, VerifyOptions{Receipts: want})
	if err != nil || len(r.Problems) != 0 || r.Receipts != len(want) || len(want) > 0 && r.End != want[len(want)-1] {
		t.Fatalf("%d wanted: %+v %v", len(want), r, err)
	}
	return r.Segments
}

// checkLog is holds for a log that is closed: no file is left of a rotation.
func checkLog(t testing.TB, path string, want []Receipt) []Segment {
	t.Helper()
	segments := holds(t, path, want)
	if entries, err := os.ReadDir(filepath.Dir(path)); err == nil {
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), nextSuffix) {
				t.Fatal("it was left:", e.Name())
			}
		}
	}
	return segments
}

// until polls until a thing that goes on beside the test has happened.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 20*time.Minute { // only to end a hang: what is done beside the writer has its turn after all others
			t.Fatal("it does not happen:", what)
		}
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, small(Options{}))
	want := add(t, l, 0, 40)
	segments := holds(t, path, want)
	if len(segments) < 5 || l.Stats().Segments != len(segments)-1 {
		t.Fatal(segments, l.Stats())
	}
	must(t, l.Close())
	l = open(t, path, small(Options{}))
	want = append(want, add(t, l, 40, 7)...)
	must(t, l.Close())
	segments = checkLog(t, path, want)
	listed, err := Segments(path)
	must(t, err)
	for i, s := range listed {
		if s.File != segments[i].File || s.From.IsZero() != (s.Last == 0) || i > 0 && s.First != listed[i-1].Last+1 {
			t.Fatal(s, segments[i])
		}
	}
	if info, err := os.Stat(SegmentsPath(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatal(info, err)
	}
}

// A file whose first record is old is closed though nobody calls; an empty one is not.
func TestRotationByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{SegmentAge: 50 * time.Millisecond})
	want := add(t, l, 0, 2)
	until(t, "rotation", func() bool { return l.Stats().Segments == 1 })
	time.Sleep(200 * time.Millisecond)
	want = append(want, add(t, l, 2, 1)...)
	until(t, "rotation", func() bool { return l.Stats().Segments == 2 })
	must(t, l.Close())
	if segments := checkLog(t, path, want); len(segments) != 3 {
		t.Fatal(segments)
	}
}

var rotation = []step{stepBegin, stepLink, stepNames, stepRename, stepFolder}

// Each step of a rotation fails, without and with having been done: no record is lost or refused, and it comes about later.
func TestEachStepOfRotationFails(t *testing.T) {
	for _, s := range rotation {
		for _, part := range []float64{0, 1} {
			t.Run(fmt.Sprintf("%s, %v done", s, part), func(t *testing.T) {
				t.Parallel()
				var fail, told atomic.Int32
				o := small(quick)
				o.Check = time.Millisecond
				o.OnTrouble = func(string, error) { told.Add(1) }
				o.fault = func(at step) failure {
					if at == s && fail.Add(-1) >= 0 {
						return failure{errors.New("broken for the test"), part}
					}
					return failure{}
				}
				path := filepath.Join(t.TempDir(), "audit.log")
				fail.Store(2)
				l := open(t, path, o)
				want := add(t, l, 0, 10)
				until(t, "rotation", func() bool { return l.Ready() == nil && l.Stats().Segments > 0 })
				holds(t, path, want)
				if again := told.Load(); s != stepFolder && !(s == stepRename && part == 1) && again < 2 {
					t.Fatal("nobody is told", again)
				}
				must(t, l.Close())
				l = open(t, path, o)
				want = append(want, add(t, l, 10, 20)...)
				must(t, l.Close())
				if segments := checkLog(t, path, want); len(segments) < 3 {
					t.Fatal(segments)
				}
			})
		}
	}
}

// rotateChild appends, prints its receipts, and kills itself at a step of the work with segments.
func rotateChild(args []string) error {
	at, part := step(args[1]), args[2]
	var dying atomic.Bool
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	o := Options{SegmentSize: 2000, Retention: time.Nanosecond, Check: time.Millisecond, Seal: func(r Receipt) ([]byte, error) { return []byte(r.String()), nil }}
	for _, s := range rotation {
		if s == at { // the others work on segments beside the writer
			o.Uncompressed, o.Retention = true, 0
		}
	}
	if at == stepPack || at == stepPackName || at == stepDrop {
		o.Retention = 0
	}
	o.fault = func(s step) failure {
		if dying.Load() || s == at && part == "" {
			die()
			select {}
		}
		if s == at {
			dying.Store(true)
			return failure{errors.New("dying"), 1}
		}
		return failure{}
	}
	l, err := Open(args[0], o)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		r, err := l.Append(context.Background(), sample(i))
		if err != nil {
			return err
		}
		fmt.Println(r)
	}
}

// A process is killed at each step of rotation, compression and retention, before and after the step was done: what it
// answered is in the log, unless retention had sealed it, and the next process goes on and does the step.
func TestKilledAtEachStepWithSegments(t *testing.T) {
	for _, s := range append([]step{stepPack, stepPackName, stepDrop, stepCutFile, stepCutName, stepRemove}, rotation...) {
		for _, part := range []string{"", "1"} {
			t.Run(fmt.Sprintf("%s, %q done", s, part), func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "audit.log")
				cmd := child(t, "rotate", path, string(s), part)
				out, err := cmd.StdoutPipe()
				must(t, err)
				must(t, cmd.Start())
				got := receiptsOf(t, out, func(int) {})
				if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatal("the child ended by itself:", err)
				}
				r := verifiedBehindCut(t, path, got)
				o := small(Options{Check: time.Millisecond})
				o.Uncompressed = false
				l := open(t, path, o)
				from := l.Head().Seq
				more := add(t, l, 0, 12)
				if more[0].Seq != from+1 || from < got[len(got)-1].Seq || from != r.End.Seq {
					t.Fatal(more[0], from, got[len(got)-1], r.End)
				}
				must(t, l.Ready()) // so that the last rotation is over
				until(t, "compression", func() bool {
					segments, err := Segments(path)
					must(t, err)
					for _, s := range segments {
						if !s.Active && !s.Compressed {
							return false
						}
					}
					return true
				})
				must(t, l.Close())
				verifiedBehindCut(t, path, append(got, more...))
				entries, err := os.ReadDir(SegmentsPath(path))
				must(t, err)
				for _, e := range entries {
					if strings.HasSuffix(e.Name(), newSuffix) || strings.HasSuffix(e.Name(), plainSuffix) {
						t.Fatal("it was left:", e.Name())
					}
				}
			})
		}
	}
}

// verifiedBehindCut checks that every receipt behind the cut, if there is one, is in the log, and nothing is wrong.
func verifiedBehindCut(t testing.TB, path string, got []Receipt) Report {
	t.Helper()
	cut, err := ReadCut(path)
	if err == nil && string(cut.Signed) != cut.Last.String() {
		t.Fatalf("%+v", cut)
	}
	for len(got) > 0 && got[0].Seq <= cut.Last.Seq {
		got = got[1:]
	}
	r, err := VerifyFile(path, VerifyOptions{Receipts: got})
	if err != nil || !r.Intact() || r.Receipts != len(got) {
		t.Fatalf("%d receipts: %+v %v", len(got), r, err)
	}
	return r
}

// Many callers, small segments, compression: Follow and a Reader that come along see each record once.
func TestFollowOverRotationAndCompression(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{SegmentSize: 20000, SegmentAge: -1, Check: time.Millisecond})
	const total = 4000
	var next atomic.Uint64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		err := l.Follow(ctx, 0, func(batch []Line) error {
			for _, line := range batch {
				if line.Seq != next.Load()+1 {
					return fmt.Errorf("record %d after %d", line.Seq, next.Load())
				}
				if next.Store(line.Seq); line.Seq == total {
					cancel()
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			cancel()
		}
	})
	var written sync.WaitGroup
	for range 20 {
		written.Go(func() {
			for range total / 20 {
				if _, err := l.Append(t.Context(), sample(1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	written.Wait()
	wg.Wait()
	if next.Load() != total {
		t.Fatal(next.Load())
	}
	if got := read(t, reader(t, path, 1)); len(got) != total {
		t.Fatal(len(got))
	}
}
