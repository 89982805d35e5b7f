package hsm

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// worker is one goroutine with one session of its own. Nobody else ever calls the module with this session: two goroutines in one session
// crash SoftHSM, and a session handed from hand to hand could not outlive a caller that stops waiting.
type worker struct {
	gen   *generation
	queue *queue
	s     session
	open  bool

	since atomic.Int64 // when the call that is inside began; 0: none is
	lost  atomic.Bool  // the call is past its deadline and another worker took the place
	used  bool         // since the last keep-alive
}

// retryOpen is how long a worker without a session waits before it tries to open one again.
const retryOpen = 200 * time.Millisecond

func (w *worker) run() {
	defer w.gen.workers.Done()
	defer w.closeSession()
	tick := time.NewTicker(w.gen.tok.cfg.KeepAlive)
	defer tick.Stop()
	for {
		if !w.open && !w.reopen() {
			select {
			case <-w.gen.done:
				return
			case <-time.After(retryOpen):
			}
			continue
		}
		select {
		case <-w.queue.ready:
			w.serve(w.queue.pop())
			// The caller is next on this thread: it goes on here and now, where its data are. A worker that took the next job
			// at once would leave it to another thread, which has to be woken.
			runtime.Gosched()
		case <-tick.C:
			w.keepAlive()
		case <-w.gen.done:
			return
		}
		if w.lost.Load() {
			w.gen.found(w)
			return
		}
	}
}

// serve runs one job, and puts the session right afterwards.
func (w *worker) serve(j *job) {
	t := now()
	j.started.Store(t) // first: whoever sees that it runs reads it
	if !j.state.CompareAndSwap(jobQueued, jobRunning) {
		return // its caller has gone
	}
	w.queue.waiting.Add(-1)
	w.used = true
	life := w.gen.life
	if !life.enter() {
		j.over = true
		j.finish()
		return
	}
	w.since.Store(t)
	w.gen.tok.stats.calls.Add(1)
	w.exec(j)
	if classify(j.rv) == classSession {
		w.again(j)
	}
	j.ended = now()
	bad, undo := w.judge(j), j.undo // before the caller has it: then it is another's
	if j.err != nil {
		undo = nil
	}
	if !j.finish() && undo != nil {
		undo(&w.s)
	}
	w.since.Store(0)
	life.exit()
	if bad {
		w.replace()
	}
}

// finish hands the job to its caller; false where the caller has gone.
func (j *job) finish() bool {
	if j.state.CompareAndSwap(jobRunning, jobDone) {
		j.done <- struct{}{}
		return true
	}
	return false
}

// again runs a job once more, with a new session: the old one turned out to be dead.
func (w *worker) again(j *job) {
	w.gen.tok.stats.replaced.Add(1)
	_ = w.s.ctx.CloseSession(w.s.h)
	if h, err := w.s.ctx.OpenSession(w.s.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err == nil {
		w.s.h = h
		j.out = j.out[:cap(j.out)]
		if w.stillThere(j) {
			w.exec(j)
		}
	}
}

// stillThere checks a secret key anew: what ended the session may have put another key under its handle, and no result would show that.
func (w *worker) stillThere(j *job) bool {
	if j.of == nil {
		return true
	}
	same, err := j.of.expect(&w.s, &entry{secret: []pkcs11.ObjectHandle{pkcs11.ObjectHandle(j.key)}})
	if same && err == nil {
		return true
	}
	j.rv, j.out, j.begun = pkcs11.CKR_KEY_HANDLE_INVALID, j.out[:0], false
	if err != nil {
		j.rv = rvOf(err)
	}
	return false
}

func (w *worker) exec(j *job) {
	var n int
	switch j.kind {
	case jobSign:
		j.rv, n, j.begun = w.s.sign(j.key, &j.mech, j.in, j.out)
	case jobDecrypt:
		j.rv, n, j.begun = w.s.decrypt(j.key, &j.mech, j.in, j.out)
	case jobSeal, jobOpen:
		j.rv, n, j.begun = w.s.gcm(j.key, j.kind == jobSeal, &j.gcm, j.in, j.out)
	default:
		j.err = j.fn(&w.s)
		j.rv = rvOf(j.err)
		return
	}
	if j.rv != pkcs11.CKR_OK || n > len(j.out) {
		n = 0
	}
	j.out = j.out[:n]
}

// judge says whether the session may be used again, and has the token looked at where the answer gives reason to.
func (w *worker) judge(j *job) (bad bool) {
	switch classify(j.rv) {
	case classOK, classKeyGone, classFull, classUnsupported, classPIN:
		return false
	case classLost, classSession:
		w.gen.suspect(j.rv)
		return true
	}
	// A bad ciphertext ends in any of a dozen codes, and a stranger can send as many as he likes: it ends the operation (PKCS#11 v2.40,
	// 5.9) and says nothing about the session. The token is asked all the same, in case that it is gone.
	w.gen.suspect(j.rv)
	return !j.refuted()
}

// replace closes the session and opens another.
func (w *worker) replace() {
	w.gen.tok.stats.replaced.Add(1)
	w.closeSession()
	w.reopen()
}

func (w *worker) closeSession() {
	if !w.open {
		return
	}
	w.open = false
	if life := w.gen.life; life.enter() {
		w.since.Store(now())
		_ = w.s.ctx.CloseSession(w.s.h)
		w.since.Store(0)
		life.exit()
	}
}

func (w *worker) reopen() bool {
	life := w.gen.life
	if !life.enter() {
		return false
	}
	w.since.Store(now())
	h, err := w.s.ctx.OpenSession(w.s.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	w.since.Store(0)
	life.exit()
	if err != nil {
		w.gen.tok.log.Warn("no session", zap.Error(err))
		w.gen.suspect(rvOf(err))
		return false
	}
	w.s.h, w.open = h, true
	return true
}

// keepAlive uses a session that was idle, so that an HSM with an idle limit does not close it.
func (w *worker) keepAlive() {
	if w.used {
		w.used = false
		return
	}
	life := w.gen.life
	if !life.enter() {
		return
	}
	w.since.Store(now())
	_, err := w.s.ctx.GetSessionInfo(w.s.h)
	w.since.Store(0)
	life.exit()
	if err != nil {
		w.gen.suspect(rvOf(err))
		w.replace()
	}
}
