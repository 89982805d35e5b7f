package audit

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// blocked is a log whose disk does not come back from a sync until the gate is opened.
func blocked(t *testing.T, o Options) (l *Log, path string, want []Receipt, gate chan struct{}) {
	gate = make(chan struct{})
	armed := make(chan struct{})
	o.fault = func(at step) failure {
		select {
		case <-armed:
			if at == stepSync {
				<-gate
			}
		default:
		}
		return failure{}
	}
	path = filepath.Join(t.TempDir(), "audit.log")
	l = open(t, path, o)
	want = add(t, l, 0, 3)
	close(armed)
	return l, path, want, gate
}

// The callers' deadlines are kept, in the batch, in the queue and before a full queue.
func TestBlockedDiskAndDeadlines(t *testing.T) {
	l, path, _, gate := blocked(t, Options{Queue: 4, Timeout: time.Hour})
	var wg sync.WaitGroup
	call := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if _, err := l.Append(ctx, sample(9)); !errors.Is(err, ErrNotDurable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	wg.Go(call)
	for inFlight := 0; inFlight == 0; {
		l.mu.Lock()
		inFlight = len(l.flight)
		l.mu.Unlock()
	}
	for range 20 {
		wg.Go(call)
	}
	wg.Wait() // it ends at all: no caller is held
	close(gate)
	if r, err := l.Append(context.Background(), sample(3)); err != nil || r.Seq < 4 {
		t.Fatal(r, err)
	}
	must(t, l.Close())
	r, err := VerifyFile(path, VerifyOptions{})
	if err != nil || !r.Intact() || r.Records > 5 {
		// Beside the answered ones, only the record that was being written when its caller left may be there.
		t.Fatalf("%+v %v", r, err)
	}
}

// Callers without a deadline are not held either, and nothing queues behind a blocked disk.
func TestBlockedDiskAndPatientCallers(t *testing.T) {
	l, path, _, gate := blocked(t, Options{Timeout: 2 * time.Second, Retry: 10 * time.Millisecond})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := l.Append(context.Background(), sample(9)); !errors.Is(err, ErrNotDurable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := l.Ready(); !errors.Is(err, ErrNotDurable) {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Broken == nil || s.Refused != 20 {
		t.Fatalf("%+v", s)
	}
	if err := l.Close(); !errors.Is(err, ErrNotDurable) {
		t.Fatal(err)
	}
	close(gate)
	<-l.done
	if r, err := VerifyFile(path, VerifyOptions{}); err != nil || !r.Intact() {
		t.Fatalf("%+v %v", r, err)
	}
}

// When the disk comes back, the log does.
func TestBlockedDiskComesBack(t *testing.T) {
	told := make(chan error, 10)
	l, path, _, gate := blocked(t, Options{Timeout: 2 * time.Second, Retry: 10 * time.Millisecond, OnState: func(err error) { told <- err }})
	if _, err := l.Append(context.Background(), sample(9)); !errors.Is(err, ErrNotDurable) {
		t.Fatal(err)
	}
	close(gate)
	var r Receipt
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if r, err = l.Append(context.Background(), sample(3)); err == nil {
			break
		}
	}
	must(t, err)
	must(t, l.Close())
	if first, then := <-told, <-told; !errors.Is(first, ErrNotDurable) || then != nil {
		t.Fatal(first, then)
	}
	if got, err := VerifyFile(path, VerifyOptions{Receipts: []Receipt{r}}); err != nil || !got.Intact() || got.Receipts != 1 {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestCancelledCallers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Append(ctx, sample(0)); !errors.Is(err, ErrNotDurable) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	checkFile(t, path, add(t, l, 0, 1))
}

// Close and Append at the same time: each record is answered, and those that were promised are there.
func TestCloseUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{Queue: 8})
	var mu sync.Mutex
	var kept []Receipt
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				r, err := l.Append(context.Background(), sample(1))
				if err != nil {
					if !errors.Is(err, ErrNotDurable) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				kept = append(kept, r)
				enough := len(kept) == 500
				mu.Unlock()
				if enough {
					must(t, l.Close())
				}
			}
		})
	}
	wg.Wait()
	r, err := VerifyFile(path, VerifyOptions{Receipts: kept})
	if err != nil || !r.Intact() || r.Receipts != len(kept) || int(r.Records) != len(kept) {
		t.Fatalf("%d receipts: %+v %v", len(kept), r, err)
	}
}
