package hsm

import (
	"runtime"
	"slices"
	"time"
)

// A call of the module that computes here and is over in a moment costs about as much again for what is around it: the way into C and out, a
// processor that Go gives away meanwhile and has to get back, another worker that waits for the module's own locks. So quick jobs that wait
// at the same time are done in series, by one worker and in one call, and no more workers than lanes come for them unless many wait. A slow
// call, of an HSM that computes itself, has a worker of its own as soon as one is free.

const (
	maxSeries  = 16                     // jobs
	seriesTime = 2 * time.Millisecond   // that a series is to take at most
	quickCall  = 250 * time.Microsecond // what a quick job takes at most
	crowd      = 2 * maxSeries          // so many that wait have one worker more come
	stall      = 50 * time.Millisecond  // after which a series is no longer thought to end soon
)

// lanes is how many workers do quick jobs beside each other: on half of the processors, since what comes before and after a signature needs
// the other half. GOMAXPROCS is twice the processors.
func lanes() int { return max(1, runtime.GOMAXPROCS(0)/4) }

// turn is what a worker takes from a queue at a time: one job, or a series of quick ones.
type turn struct {
	jobs  []*job
	since int64 // when it was taken, in the clock of now(); 0: the jobs are not quick
}

// take gives a worker its next turn, and ends the one before. Where it answers false, nothing waits, or others are about to do it.
func (q *queue) take(t *turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over(t)
	if q.next == nil || !q.room(0) {
		return false
	}
	defer q.callOnward()
	j := q.pop()
	t.jobs = append(t.jobs, j)
	if !q.quick(j) {
		return true
	}
	t.since = now()
	q.series = append(q.series, t)
	for left := seriesTime - j.takes(); len(t.jobs) < maxSeries && q.next != nil; left -= j.takes() {
		if j = q.next.first; !q.quick(j) || j.takes() > left {
			break
		}
		t.jobs = append(t.jobs, q.pop())
	}
	return true
}

// leave ends the turn of a worker that takes no other one.
func (q *queue) leave(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over(t)
	q.callIfRoom()
}

// nudge has a worker come for what waits behind a series that does not end.
func (q *queue) nudge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.callIfRoom()
}

func (q *queue) callIfRoom() {
	if q.next != nil && q.room(len(q.ready)) {
		q.call()
	}
}

// callOnward has another worker come for what a turn has left, where that may be done beside it: those who queued it may have called nobody,
// since a quick job stood before it.
func (q *queue) callOnward() {
	if len(q.ready) == 0 {
		q.callIfRoom()
	}
}

func (q *queue) over(t *turn) {
	clear(t.jobs)
	t.jobs = t.jobs[:0]
	if t.since != 0 {
		t.since = 0
		q.series = slices.DeleteFunc(q.series, func(other *turn) bool { return other == t })
	}
}

// room reports whether one worker more is to do the next job, beside those that are inside or about to come.
func (q *queue) room(coming int) bool {
	if !q.quick(q.next.first) {
		return true
	}
	inside := coming
	for _, t := range q.series {
		if now()-t.since < int64(stall) {
			inside++
		}
	}
	return inside < q.lanes+q.length/crowd
}

// quick reports whether the job is to be one of a series.
func (q *queue) quick(j *job) bool { return q.able(j) && j.takes() <= quickCall }

// able reports whether it can be one, now or when it is known how long it takes.
func (q *queue) able(j *job) bool {
	return !q.single && j.kind == jobSign && j.of == nil && j.mech.param == paramNone && len(j.in) <= seriesInput &&
		j.small == nil && j.bound != nil // small: it needs more room than a signature of RSA
}

// takes is how long the key's calls take when nothing disturbs them. A key that has made no signature yet is not quick.
func (j *job) takes() time.Duration {
	if d := time.Duration(j.bound.takes.Load()); d != 0 {
		return d
	}
	return unknown
}

const unknown = time.Hour

// learn notes what a call of the key has taken. What is less counts at once, what is more only if it goes on: a thread that the processor was
// taken from says nothing about the key.
func (b *binding) learn(took time.Duration) {
	if old := time.Duration(b.takes.Load()); old != 0 {
		step := old / 256
		if took > 4*quickCall {
			step = old / 8
		}
		took = min(took, old+step)
	}
	b.takes.Store(int64(max(took, 1)))
}
