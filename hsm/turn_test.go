package hsm

import (
	"testing"
	"time"
)

// quick makes a job of a key whose signatures take so long.
func quick(took time.Duration) *job {
	j := newJob(jobSign)
	j.bound = new(binding)
	j.bound.learn(took)
	return j
}

// pushed is a queue with these jobs of one caller.
func pushed(t *testing.T, jobs ...*job) *queue {
	t.Helper()
	q := newQueue(1024)
	for _, j := range jobs {
		if !q.push("a", j) {
			t.Fatal("refused")
		}
	}
	return q
}

func many(n int, took time.Duration) (jobs []*job) {
	for range n {
		jobs = append(jobs, quick(took))
	}
	return jobs
}

// What one turn has: quick jobs as long as they are few and short, another kind by itself.
func TestTurns(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	slow, unknown, long, secret, padded, large := quick(time.Millisecond), newJob(jobSign), quick(50*us), quick(50*us), quick(50*us), quick(50*us)
	large.room(signatureSize(MLDSA44))
	unknown.bound, long.in, secret.of, padded.mech.param = new(binding), make([]byte, seriesInput+1), new(Secret), paramPSS
	for name, c := range map[string]struct {
		jobs []*job
		want int
	}{
		"one":                         {many(1, 50*us), 1},
		"five":                        {many(5, 50*us), 5},
		"more than a series":          {many(maxSeries+3, 50*us), maxSeries},
		"more than its time":          {many(maxSeries, 240*us), int(seriesTime / (240 * us))},
		"a slow one":                  {[]*job{slow, quick(50 * us)}, 1},
		"before a slow one":           {[]*job{quick(50 * us), quick(50 * us), slow, quick(50 * us)}, 2},
		"of a key that is not known":  {[]*job{unknown, quick(50 * us)}, 1},
		"before such a one":           {[]*job{quick(50 * us), unknown}, 1},
		"a message that is too long":  {[]*job{quick(50 * us), long}, 1},
		"a secret key":                {[]*job{quick(50 * us), secret}, 1},
		"a mechanism with parameters": {[]*job{quick(50 * us), padded}, 1},
		"a signature of ML-DSA":       {[]*job{quick(50 * us), large}, 1},
		"no signature":                {[]*job{quick(50 * us), queued()}, 1},
	} {
		q, mine := pushed(t, c.jobs...), new(turn)
		if !q.take(mine) || len(mine.jobs) != c.want {
			t.Errorf("%s: %d jobs, want %d", name, len(mine.jobs), c.want)
		}
		for i, j := range mine.jobs {
			if j != c.jobs[i] {
				t.Errorf("%s: another job in place %d", name, i)
			}
		}
		if q.length != len(c.jobs)-c.want {
			t.Errorf("%s: %d are left", name, q.length)
		}
	}
}

// Callers take turns within a series, too.
func TestTurnsOfCallersInASeries(t *testing.T) {
	t.Parallel()
	q, names := newQueue(64), map[*job]string{}
	for _, name := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
		j := quick(time.Microsecond)
		names[j] = name
		q.push(name[:1], j)
	}
	mine, got := new(turn), ""
	q.take(mine)
	for _, j := range mine.jobs {
		got += names[j] + " "
	}
	if want := "a1 b1 c1 a2 b2 a3 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Quick jobs have few workers come, slow ones as many as there are.
func TestWorkersThatCome(t *testing.T) {
	t.Parallel()
	few, slow := pushed(t, many(crowd-1, time.Microsecond)...), pushed(t, many(20, time.Second)...)
	if len(few.ready) != lanes() || len(slow.ready) != 20 {
		t.Errorf("%d come for quick jobs, %d for slow ones", len(few.ready), len(slow.ready))
	}
	var inside []*turn
	for few.length > 0 {
		mine := new(turn)
		if !few.take(mine) {
			break
		}
		inside = append(inside, mine)
	}
	if len(inside) > lanes() {
		t.Errorf("%d workers are inside", len(inside))
	}
	for few.push("b", quick(time.Microsecond)); few.length < crowd; { // a crowd has one more come
		few.push("b", quick(time.Microsecond))
	}
	for len(few.ready) > 0 {
		<-few.ready
	}
	if few.push("b", quick(time.Microsecond)); len(few.ready) == 0 || !few.take(new(turn)) {
		t.Error("nobody comes for a crowd")
	}
}

// Who waits behind a series that does not end is served all the same.
func TestSeriesThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	q := pushed(t, many(lanes()*maxSeries, time.Microsecond)...)
	var inside []*turn
	for range lanes() {
		inside = append(inside, new(turn))
		q.take(inside[len(inside)-1])
	}
	for len(q.ready) > 0 {
		<-q.ready
	}
	if q.push("b", quick(time.Microsecond)); len(q.ready) != 0 || q.take(new(turn)) {
		t.Fatal("one more comes, although the series are young")
	}
	for _, mine := range inside {
		mine.since -= int64(2 * stall)
	}
	if q.nudge(); len(q.ready) != 1 || !q.take(new(turn)) {
		t.Error("nobody comes")
	}
}

// Who waited behind a quick job, and had nobody come, is not left to one worker.
func TestSlowJobsBehindAQuickOne(t *testing.T) {
	t.Parallel()
	jobs := many(lanes(), time.Microsecond)
	q, mine := pushed(t, jobs...), new(turn)
	for range jobs { // each inside alone
		q.take(new(turn))
	}
	for _, j := range append(many(1, time.Microsecond), many(3, time.Second)...) {
		q.push("a", j)
	}
	for len(q.ready) > 0 {
		<-q.ready
	}
	q.series = nil // one of those inside takes the next turn
	if q.take(mine); len(mine.jobs) != 1 || len(q.ready) == 0 {
		t.Fatalf("%d jobs, %d come", len(mine.jobs), len(q.ready))
	}
	for n := range 3 {
		<-q.ready
		if !q.take(new(turn)) || len(q.ready) == 0 && n < 2 {
			t.Errorf("nobody comes after %d", n)
		}
	}
}

// Whoever goes while jobs are left has another one come.
func TestLeave(t *testing.T) {
	t.Parallel()
	q, mine := pushed(t, many(maxSeries+1, time.Microsecond)...), new(turn)
	q.take(mine)
	for len(q.ready) > 0 {
		<-q.ready
	}
	if q.leave(mine); len(q.ready) != 1 || len(q.series) != 0 || len(mine.jobs) != 0 {
		t.Errorf("%d come, %d are inside, %d jobs are kept", len(q.ready), len(q.series), len(mine.jobs))
	}
}

// What is less counts at once, what is more only if it goes on.
func TestLearn(t *testing.T) {
	t.Parallel()
	b := new(binding)
	for _, took := range []time.Duration{900, 80, 100_000} {
		b.learn(took)
	}
	if got := b.takes.Load(); got != 80 {
		t.Errorf("%d after one disturbance", got)
	}
	b.takes.Store(100_000)
	for range 1000 {
		b.learn(10 * time.Millisecond)
	}
	if got := time.Duration(b.takes.Load()); got < quickCall {
		t.Errorf("a key that has become slow takes %v", got)
	}
}
