package hsm

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// queued makes a job as do queues it.
func queued() *job { return newJob(jobFunc) }

// order takes everything out of a queue, by the names that the jobs have in names.
func order(q *queue, names map[*job]string) string {
	var all []string
	for t := new(turn); q.take(t); {
		all = append(all, names[t.jobs[0]])
	}
	return strings.Join(all, " ")
}

// TestCallersTakeTurns, and each has its own in the order of their arrival.
func TestCallersTakeTurns(t *testing.T) {
	q, names := newQueue(16), map[*job]string{}
	push := func(list string) {
		for _, name := range strings.Fields(list) {
			j := queued()
			if names[j] = name; !q.push(name[:1], j) {
				t.Errorf("%s is refused", name)
			}
		}
	}
	push("a1 a2 a3 a4 b1 a5 c1 c2")
	if got, want := order(q, names), "a1 b1 c1 a2 c2 a3 a4 a5"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	push("a1 a2 a3")
	first := new(turn)
	if q.take(first); names[first.jobs[0]] != "a1" {
		t.Errorf("%s is first", names[first.jobs[0]])
	}
	push("b1 a4") // who comes anew waits for one of each other caller, and no more
	if got, want := order(q, names), "a2 b1 a3 a4"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(q.lines) != 0 || q.next != nil {
		t.Errorf("an empty queue holds %+v", q.lines)
	}
}

// TestFullQueueMakesRoom for a caller that has fewer, at the cost of who has most.
func TestFullQueueMakesRoom(t *testing.T) {
	q, names := newQueue(4), map[*job]string{}
	push := func(name string) bool {
		j := queued()
		names[j] = name
		q.waiting.Add(1)
		return q.push(name[:1], j)
	}
	ended := func(name string) bool {
		for j, n := range names {
			if n == name {
				select {
				case <-j.done:
					return j.crowded && j.state.Load() == jobDone
				default:
					return false
				}
			}
		}
		return false
	}
	for _, name := range []string{"a1", "a2", "a3", "a4"} {
		if !push(name) {
			t.Fatalf("%s is refused", name)
		}
	}
	if push("a5") || !push("b1") || !push("c1") || !ended("a4") || !ended("a3") || ended("a2") {
		t.Error("the longest line does not make room")
	}
	if push("d1") != true || !ended("a2") { // a has two, d would have one
		t.Error("there is no room for a fourth caller")
	}
	if push("e1") || push("a6") || push("b2") { // nobody has more than one
		t.Error("a caller makes room for one that is no better")
	}
	if got, want := order(q, names), "a1 b1 c1 d1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := q.waiting.Load(); n != 4+4 { // those that were popped and those refused are counted by do and serve
		t.Errorf("%d wait", n)
	}
}

// TestGivenUpJobMakesRoom without being told so: its caller has gone.
func TestGivenUpJobMakesRoom(t *testing.T) {
	q := newQueue(2)
	first, gone, other := queued(), queued(), queued()
	if !q.push("a", first) || !q.push("a", gone) {
		t.Fatal("refused")
	}
	gone.state.Store(jobGivenUp)
	if !q.push("b", other) || gone.crowded || len(gone.done) != 0 {
		t.Error("a job that was given up is ended once more")
	}
}

// TestQueueKeepsEveryJob: whatever comes and goes at the same time, each job that
// was taken in comes out once, or made room.
func TestQueueKeepsEveryJob(t *testing.T) {
	const limit, callers, each = 8, 6, 3000
	q := newQueue(limit)
	var in, out sync.WaitGroup
	var mu sync.Mutex
	popped := map[*job]int{}
	stop := make(chan struct{})
	for range 3 {
		out.Go(func() {
			for mine := new(turn); ; {
				select {
				case <-q.ready:
					for q.take(mine) {
						mu.Lock()
						for _, j := range mine.jobs {
							popped[j]++
						}
						mu.Unlock()
					}
				case <-stop:
					return
				}
			}
		})
	}
	taken := make([][]*job, callers)
	for c := range callers {
		in.Go(func() {
			for range each {
				j := queued()
				if q.push(string(rune('a'+c)), j) {
					taken[c] = append(taken[c], j)
				}
			}
		})
	}
	in.Wait()
	for len(q.ready) > 0 { // the workers take the rest
		runtime.Gosched()
	}
	close(stop)
	out.Wait()
	if len(q.lines) != 0 || q.next != nil {
		t.Errorf("lines are left: %d", len(q.lines))
	}
	all := slices.Concat(taken...)
	if len(all) < callers*limit {
		t.Errorf("only %d jobs were taken in", len(all))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, j := range all {
		if j.crowded == (popped[j] == 1) || popped[j] > 1 {
			t.Fatalf("a job came out %d times, and made room: %v", popped[j], j.crowded)
		}
	}
}
