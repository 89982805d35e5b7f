package hsm

import (
	"context"
	"sync"
	"sync/atomic"
)

type callerKey struct{}

// WithCaller names on whose behalf calls are made with this context. While calls wait for a session, callers take turns, so that one with a
// hundred calls does not have another one's single call wait for a hundred. Calls without a name are those of one caller. Names are to be those of callers that somebody made: who
// makes names for nothing takes a turn for each, and a full queue has room for no name more than it has places.
func WithCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

func callerOf(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

// queue holds jobs for the workers that serve it: the callers that wait take turns, and each has its own in the order of their arrival. The
// lists run through jobs and lines, so that to queue costs no allocation.
type queue struct {
	ready   chan struct{} // one for each worker that is to come: it finds what there is with take
	waiting atomic.Int64
	lanes   int  // workers with quick jobs, while there is no crowd
	single  bool // no series: the module is called through miekg/pkcs11

	mu     sync.Mutex
	limit  int              // how many jobs may wait
	length int              // how many are in the lines, whether their callers have given them up or not
	lines  map[string]*line // of the callers with jobs
	next   *line            // whose turn it is; the last one is before it in the ring
	spare  *line            // one that is empty, for the next caller
	series []*turn          // of the workers that are inside with quick jobs
}

// line holds the jobs of one caller, and is one of a ring.
type line struct {
	caller       string
	first, last  *job
	length       int
	before, then *line
}

func newQueue(limit int) *queue {
	return &queue{ready: make(chan struct{}, limit), limit: limit, lanes: lanes(), lines: make(map[string]*line)}
}

// push queues a job; false where there is no room. The last job of the longest line makes room for a caller that has fewer.
func (q *queue) push(caller string, j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[caller]
	if q.length == q.limit && !q.makeRoom(l) {
		return false
	}
	if l == nil {
		l = q.open(caller)
	}
	l.add(j)
	q.length++
	q.callIfRoom()
	return true
}

// call has one worker more come.
func (q *queue) call() {
	select {
	case q.ready <- struct{}{}:
	default: // there are as many to come as may ever be needed
	}
}

// makeRoom ends the newest job of the longest line, if that is longer than the line for which room is made would be.
func (q *queue) makeRoom(newcomer *line) bool {
	mine := 0
	if newcomer != nil {
		mine = newcomer.length
	}
	var longest *line
	for _, l := range q.lines {
		if longest == nil || l.length > longest.length {
			longest = l
		}
	}
	if longest == nil || longest.length <= mine+1 {
		return false
	}
	q.length--
	if j := longest.dropLast(); j.state.CompareAndSwap(jobQueued, jobRunning) {
		q.waiting.Add(-1)
		j.crowded = true
		j.finish()
	}
	return true
}

// pop takes the next job, which is there.
func (q *queue) pop() *job {
	l := q.next
	j := l.dropFirst()
	q.length--
	if q.next = l.then; l.first == nil {
		q.close(l)
	}
	return j
}

// open gives a caller a line, whose turn comes after all others.
func (q *queue) open(caller string) *line {
	l := q.spare
	if q.spare = nil; l == nil {
		l = new(line)
	}
	l.caller, q.lines[caller] = caller, l
	if q.next == nil {
		q.next, l.before, l.then = l, l, l
		return l
	}
	l.before, l.then = q.next.before, q.next
	l.before.then, l.then.before = l, l
	return l
}

// close takes an empty line out of the ring.
func (q *queue) close(l *line) {
	delete(q.lines, l.caller)
	l.before.then, l.then.before = l.then, l.before
	if q.next == l {
		if q.next = l.then; q.next == l {
			q.next = nil
		}
	}
	*l = line{}
	q.spare = l
}

func (l *line) add(j *job) {
	j.ahead, j.behind = l.last, nil
	if l.last == nil {
		l.first = j
	} else {
		l.last.behind = j
	}
	l.last = j
	l.length++
}

func (l *line) dropFirst() *job {
	j := l.first
	if l.first = j.behind; l.first == nil {
		l.last = nil
	} else {
		l.first.ahead = nil
	}
	j.behind = nil
	l.length--
	return j
}

// dropLast is for a line of several.
func (l *line) dropLast() *job {
	j := l.last
	l.last = j.ahead
	l.last.behind, j.ahead = nil, nil
	l.length--
	return j
}
