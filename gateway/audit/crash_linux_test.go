package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// loadChild appends from 32 goroutines for ever and prints each receipt as soon as it has it.
func loadChild(args []string) error {
	l, err := Open(args[0], Options{SegmentSize: 64 << 10})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for g := range 32 {
		go func() {
			for i := 0; ; i++ {
				r, err := l.Append(context.Background(), sample(g*1000+i))
				if err == nil {
					_, err = os.Stdout.WriteString(r.String() + "\n") // one write: a kill leaves all of it or none
				}
				if err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// receiptsOf reads receipts to the end of r, each passed to seen.
func receiptsOf(t testing.TB, r io.Reader, seen func(n int)) []Receipt {
	t.Helper()
	var got []Receipt
	for lines := bufio.NewScanner(r); lines.Scan(); {
		receipt, err := ParseReceipt(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, receipt)
		seen(len(got))
	}
	return got
}

// A process under load is killed 25 times, at random moments; it closes segments of 64 KiB and compresses them. After each: every receipt that it gave out is in the
// log, with its hash; the chain holds; and the next process goes on.
func TestKilledUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var all []Receipt
	for round := range 25 {
		c := child(t, "load", path)
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		after := 1 + rand.IntN(200)
		pause := time.Duration(rand.IntN(3000)) * time.Microsecond
		got := receiptsOf(t, out, func(n int) {
			if n == after {
				time.AfterFunc(pause, func() { _ = c.Process.Kill() }) // its end is checked below
			}
		})
		if err := c.Wait(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
		all = append(all, got...)
		report, err := VerifyFile(path, VerifyOptions{Receipts: all})
		if err != nil || !report.Intact() || report.Receipts != len(all) || len(got) < after {
			t.Fatalf("round %d, %d receipts, %d of them now: %+v %v", round, len(all), len(got), report, err)
		}
	}
	l := open(t, path, Options{})
	all = append(all, add(t, l, 0, 3)...)
	must(t, l.Close())
	report, err := VerifyFile(path, VerifyOptions{Receipts: all})
	if err != nil || len(report.Problems) != 0 || report.Receipts != len(all) {
		t.Fatalf("%+v %v", report, err)
	}
	t.Logf("%d receipts given out, %d records in the log, %d files", len(all), report.Records, len(report.Segments))
}

// crashChild appends, prints its receipts, and kills itself at a step of its 5th batch; where the step is to be
// done in part first, it dies at the next one.
func crashChild(args []string) error {
	at, part := step(args[1]), args[2]
	var batches atomic.Int32
	dying := false
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	o := Options{fault: func(s step) failure {
		if s == stepWrite && !dying {
			batches.Add(1)
		}
		if batches.Load() < 5 || s != at && !dying {
			return failure{}
		}
		if dying || part == "" {
			die()
		}
		dying = true
		done, err := strconv.ParseFloat(part, 64)
		return failure{errors.Join(errors.New("dying"), err), done}
	}}
	l, err := Open(args[0], o)
	if err != nil {
		return err
	}
	for i := range 10 {
		r, err := l.Append(context.Background(), sample(i))
		if err != nil {
			return err
		}
		fmt.Println(r)
	}
	return errors.New("it is still alive")
}

func TestKilledAtEachStep(t *testing.T) {
	for _, c := range []struct {
		step step
		part string // of the step that is done
		kept uint64 // records in the log; 4 were answered
		torn bool
	}{
		{stepWrite, "", 4, false},
		{stepWrite, "0.5", 4, true},
		{stepWrite, "1", 5, false},
		{stepSync, "", 5, false},
		{stepSync, "1", 5, false},
		{stepAnswer, "", 5, false},
		{stepHead, "", 5, false},
	} {
		t.Run(fmt.Sprintf("%s, %q done", c.step, c.part), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			cmd := child(t, "crash", path, string(c.step), c.part)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			got := receiptsOf(t, out, func(int) {})
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatal("the child ended by itself:", err)
			}
			r, err := VerifyFile(path, VerifyOptions{Receipts: got})
			if err != nil || !r.Intact() || len(got) != 4 || r.Receipts != 4 || r.Records != c.kept || (len(r.Problems) == 1) != c.torn {
				t.Fatalf("%d receipts; %+v %v", len(got), r, err)
			}
			recovered := false
			l := open(t, path, Options{OnRecovered: func(Recovery) { recovered = true }})
			if next := add(t, l, 0, 1)[0]; recovered != c.torn || next.Seq != c.kept+1 {
				t.Fatal(recovered, next)
			}
			must(t, l.Close())
			if r, err := VerifyFile(path, VerifyOptions{Receipts: got}); err != nil || len(r.Problems) != 0 {
				t.Fatalf("%+v %v", r, err)
			}
		})
	}
}
