package hsm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// job is one call in the token: a signature, a decryption, or a function that needs a session. It owns its input and output buffers, because
// a call that is given up goes on inside the module and may still read and write them.
type job struct {
	kind    jobKind
	mech    mechanism
	key     uint
	in, out []byte // out: room for the answer, cut to it afterwards
	small   []byte // out as it was before room needed more
	gcm     gcm
	bound   *binding // of the key
	of      material // a secret key, which nothing but its check value can tell from another
	fn      func(*session) error
	what    string         // how fn is called in Timing; "" is the mechanism
	undo    func(*session) // undoes what fn did when its caller has given up meanwhile

	rv    uint
	begun bool // a signature or decryption failed after its Init
	over  bool // the life of the module was over: nothing was called
	err   error

	place         place // in a series
	ahead, behind *job  // of the same caller, in the queue
	crowded       bool  // it made room for the job of another caller: nothing was called

	state   atomic.Int32
	started atomic.Int64 // when it came into the token, in the clock of now()
	ended   int64        // when it came to its end; for who has been told of that
	done    chan struct{}
	timer   *time.Timer
}

type jobKind int

const (
	jobSign jobKind = iota
	jobDecrypt
	jobSeal
	jobOpen
	jobFunc
)

// The states of a job. Whoever moves it out of a state owns what follows: a caller that gave up never sees a late answer.
const (
	jobQueued int32 = iota
	jobRunning
	jobDone
	jobGivenUp
)

// maxOutput is the longest signature, or plaintext of RSA: 4096 bits, with room. A job of ML-DSA or AES-GCM may need more (room).
const maxOutput = 1024

var jobs = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &job{done: make(chan struct{}, 1), timer: t, in: make([]byte, 0, 64), out: make([]byte, maxOutput)} // in: never nil, which modules refuse
}}

func newJob(kind jobKind) *job {
	j := jobs.Get().(*job)
	j.kind, j.fn, j.undo, j.in, j.out = kind, nil, nil, j.in[:0], j.out[:maxOutput]
	j.bound, j.of, j.what, j.place = nil, nil, "", place{}
	j.rv, j.begun, j.over, j.crowded, j.err = 0, false, false, false, nil
	j.state.Store(jobQueued)
	j.started.Store(0)
	return j
}

// free gives a job back that came to its end; one that was given up is left to the garbage collector.
func (j *job) free() {
	clear(j.in)
	clear(j.out[:cap(j.out)]) // plaintext, and what a failed decryption has left of it
	j.bound, j.of = nil, nil
	if j.small != nil { // a long one, kept, would have every signature clear as much
		j.out, j.small = j.small, nil
	}
	if cap(j.in) <= keptInput && cap(j.gcm.aad) <= keptInput {
		jobs.Put(j)
	}
}

// keptInput is the longest input whose buffer is used again.
const keptInput = 16 << 10

// room makes out n bytes long.
func (j *job) room(n int) {
	if n > cap(j.out) {
		j.small, j.out = j.out, make([]byte, n)
	}
	j.out = j.out[:n]
}

// refuted reports whether the token had begun to decrypt: then its refusal is one of the ciphertext, in any of a dozen codes.
func (j *job) refuted() bool { return j.begun && (j.kind == jobDecrypt || j.kind == jobOpen) }

// epoch is where the clock of now begins.
var epoch = time.Now()

// now is a monotonic clock in nanoseconds.
func now() int64 { return int64(time.Since(epoch)) }

// limits are the deadlines of one call.
type limits struct{ wait, call time.Duration }

// attempt queues the job and waits for its end: at most limits.wait until it comes into the token, at most limits.call from then, never longer
// than ctx. On an error the job must not be used again; nil says that it ran, and rv and err say how.
func (g *generation) attempt(ctx context.Context, q *queue, j *job, l limits) error {
	select {
	case <-g.done:
		return g.tok.unavailable("call")
	default:
	}
	queued := now()
	q.waiting.Add(1)
	if !q.push(callerOf(ctx), j) {
		q.waiting.Add(-1)
		return g.crowded()
	}
	j.timer.Reset(g.look(q, j, min(l.wait, l.call)))
	defer j.timer.Stop()
	for {
		select {
		case <-j.done:
			return g.ended(j)
		case <-g.done:
			if j.state.CompareAndSwap(jobQueued, jobGivenUp) {
				q.waiting.Add(-1)
				return g.tok.unavailable("call")
			}
			return g.finish(ctx, j, l)
		case <-ctx.Done():
			return g.giveUp(q, j, l, ctx.Err())
		case <-j.timer.C:
			left, err := g.expired(q, j, queued, l)
			if err == nil && q.able(j) {
				var lost time.Duration
				lost, err = g.unblock(ctx, q, j)
				queued += int64(lost)
			}
			if err != nil {
				return err
			}
			j.timer.Reset(g.look(q, j, left))
		}
	}
}

// lastMoment is how long a signature that is inside while its generation ends has to come out.
const lastMoment = time.Second

// finish waits for a job that is inside while its generation ends; one that can be undone has its full time, so that it is known what came
// of it.
func (g *generation) finish(ctx context.Context, j *job, l limits) error {
	left := time.Duration(j.started.Load()-now()) + l.call
	if j.undo == nil {
		left = min(left, lastMoment)
	}
	j.timer.Reset(left)
	select {
	case <-j.done:
		return g.ended(j)
	case <-ctx.Done():
	case <-j.timer.C:
	}
	if p := j.place; !p.none() && j.state.Load() == jobRunning && p.untried() {
		return g.tok.unavailable("call") // it stood behind a call that does not end
	}
	return g.giveUp(nil, j, l, context.DeadlineExceeded)
}

// expired says how long the job may still take, or gives it up.
func (g *generation) expired(q *queue, j *job, queued int64, l limits) (time.Duration, error) {
	t := now()
	if j.state.Load() == jobQueued {
		if left := time.Duration(queued-t) + l.wait; left > 0 {
			return left, nil
		}
		return 0, g.giveUp(q, j, l, nil)
	}
	if left := time.Duration(j.started.Load()-t) + l.call; left > 0 {
		return left, nil
	}
	return 0, g.giveUp(q, j, l, context.DeadlineExceeded)
}

// look is when to look at a job again that has so long left: a quick one may stand, or come to stand, behind one that does not end.
func (g *generation) look(q *queue, j *job, left time.Duration) time.Duration {
	if q.able(j) && (j.takes() <= 4*quickCall || j.takes() == unknown || j.state.Load() == jobRunning && !j.place.none()) {
		return min(left, stall)
	}
	return left
}

// unblock helps a quick job along. One that waits has another worker come, if that is due; one whose series does not come to its end is queued
// once more, whether it was signed there already or not. It returns what the job has lost there.
func (g *generation) unblock(ctx context.Context, q *queue, j *job) (lost time.Duration, err error) {
	if j.state.Load() == jobQueued {
		q.nudge()
		return 0, nil
	}
	lost = time.Duration(now() - j.started.Load())
	if p := j.place; p.none() || lost < stall || !p.untried() && !p.finished() {
		return 0, nil
	}
	j.started.Store(0)
	j.state.Store(jobQueued)
	q.waiting.Add(1)
	if !q.push(callerOf(ctx), j) {
		q.waiting.Add(-1)
		return 0, g.crowded()
	}
	return lost, nil
}

// giveUp leaves the job to itself. cause is nil when the wait for a session was too long.
func (g *generation) giveUp(q *queue, j *job, l limits, cause error) error {
	left := errors.Is(cause, context.Canceled) // the caller has gone, which says nothing about the token
	if j.state.CompareAndSwap(jobQueued, jobGivenUp) {
		if q.waiting.Add(-1); left {
			return &Error{Kind: ErrTimeout, Op: "call", Detail: "the caller went away", cause: cause}
		}
		g.tok.stats.refused.Add(1)
		if g.oldest() >= l.call {
			return &Error{Kind: ErrTimeout, Op: "call", Detail: "the calls before it do not come back", Advice: "try again shortly", cause: cause}
		}
		return &Error{Kind: ErrBusy, Op: "call", Detail: "no session came free in time", Advice: "try again shortly, or raise max_sessions", cause: cause}
	}
	if j.state.CompareAndSwap(jobRunning, jobGivenUp) {
		if p := j.place; !p.none() {
			p.untried() // so that nobody signs for a caller who has gone
		}
		if left {
			return &Error{Kind: ErrTimeout, Op: "call", Detail: "the caller went away; the answer, if it comes, is thrown away", cause: cause}
		}
		g.tok.stats.timeouts.Add(1)
		g.tok.wake()
		return &Error{Kind: ErrTimeout, Op: "call", Detail: "its answer, if it comes, is thrown away", cause: cause}
	}
	<-j.done // it came to its end just now
	return g.ended(j)
}

// ended says whether a job that came to its end has run.
func (g *generation) ended(j *job) error {
	switch {
	case j.over:
		return g.tok.unavailable("call")
	case j.crowded:
		return g.crowded()
	}
	return nil
}

func (g *generation) crowded() error {
	g.tok.stats.refused.Add(1)
	return &Error{Kind: ErrBusy, Op: "call", Detail: "the queue for the token is full", Advice: "try again shortly, or raise queue_limit and max_sessions"}
}

// call runs f with a session of the queue's workers; what names it in Timing.
func (g *generation) call(ctx context.Context, q *queue, what string, l limits, f func(*session) error) error {
	return g.callUndo(ctx, q, what, l, f, nil)
}

// callUndo is call; undo runs with the same session when f succeeded but the caller had given up.
func (g *generation) callUndo(ctx context.Context, q *queue, what string, l limits, f func(*session) error, undo func(*session)) error {
	j := newJob(jobFunc)
	j.what, j.fn, j.undo = what, f, undo
	if err := g.do(ctx, q, j, l); err != nil {
		return err
	}
	err := j.err
	j.free()
	return err
}

// session is what a job's function gets: it belongs to the worker, and to the function until it returns.
type session struct {
	ctx   *pkcs11.Ctx
	h     pkcs11.SessionHandle
	slot  uint
	list  unsafe.Pointer
	kem   unsafe.Pointer // as in life
	twice *atomic.Bool   // set: the next generation is provisional
	name  *string        // the token's label and serial number when the generation began
	login bool           // without a login nothing private is to be seen
}
