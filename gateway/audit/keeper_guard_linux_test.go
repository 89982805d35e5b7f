package audit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// The disk of the closed segments hangs: figures are given and records written all the same.
func TestAHangingSegmentStopsNobody(t *testing.T) {
	hangs, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o := brisk(Options{})
	o.fault = func(s step) failure {
		if s == stepLook {
			once.Do(func() { close(hangs) })
			<-end
		}
		return failure{}
	}
	l := open(t, filepath.Join(t.TempDir(), "audit.log"), o)
	release := sync.OnceFunc(func() { close(end) })
	defer release()
	add(t, l, 0, 12)
	<-hangs
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s := l.Stats(); s.Broken != nil || l.Broken() != nil || s.Segments == 0 {
			t.Errorf("%+v", s)
		}
		for i := range 12 { // segments are closed meanwhile
			if _, err := l.Append(t.Context(), sample(12+i)); err != nil {
				t.Error(err)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		release()
		<-done
		t.Fatal("the figures wait for the disk of the closed segments")
	}
}

// A cut removes nothing on account of a signature that is not the log's.
func TestAnUnsealedCutRemovesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, brisk(Options{}))
	want := add(t, l, 0, 12)
	must(t, l.Close())
	must(t, os.WriteFile(CutPath(path), Cut{Last: want[5], Signed: []byte("x")}.encode(), 0o600))
	before := segmentFiles(t, path)
	o := brisk(Options{Sealed: func(Cut) error { return errors.New("nobody signed") }}).withDefaults()
	k := &keeper{path: path, opts: o, trouble: map[chore]error{}}
	if err := k.removeCut(); err == nil || !slices.Equal(segmentFiles(t, path), before) {
		t.Fatal(err)
	}
	k.opts.Sealed = func(Cut) error { return nil }
	must(t, k.removeCut())
	if after := segmentFiles(t, path); len(after) >= len(before) {
		t.Fatal(after)
	}
}
