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
	bad   bool         // the session is to be replaced
	gone  bool         // the token said that it is away

	turn   turn
	places [maxSeries]place // of the jobs of the turn: one that was taken back may be another's by now
	series *series          // memory for turns of several jobs
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
			w.work()
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

// work serves turns as long as there are any for it.
func (w *worker) work() {
	for w.open && !w.lost.Load() && w.queue.take(&w.turn) {
		w.serve(w.turn.jobs)
		if n := len(w.turn.jobs); n > 1 {
			w.series.clear(n)
		}
		// The callers are next on this thread: they go on here and now, where their data are. A worker that took the next turn at
		// once would leave them to another thread, which has to be woken.
		runtime.Gosched()
	}
	w.queue.leave(&w.turn)
}

// serve runs the jobs of a turn, and puts the session right afterwards.
func (w *worker) serve(jobs []*job) {
	t := now()
	jobs = w.begin(jobs, t)
	if len(jobs) == 0 {
		return
	}
	life := w.gen.life
	if !life.enter() {
		for i, j := range jobs {
			if w.places[i].none() || w.places[i].untried() {
				j.end()
			}
		}
		return
	}
	w.since.Store(t)
	w.gen.tok.stats.calls.Add(uint64(len(jobs)))
	if len(jobs) > 1 {
		w.together(jobs, t)
	} else if w.places[0].none() || w.places[0].untried() {
		w.alone(jobs[0])
	}
	w.since.Store(0)
	life.exit()
	if w.bad {
		w.replace()
	}
}

// begin moves the jobs into the token, but for those whose callers have gone.
func (w *worker) begin(jobs []*job, t int64) []*job {
	running, several := jobs[:0], len(jobs) > 1
	if several && w.series == nil {
		w.series = new(series)
	}
	for _, j := range jobs {
		j.started.Store(t) // first: whoever sees that it runs reads it
		at := len(running)
		if w.places[at] = (place{}); several {
			w.places[at] = w.series.put(at, j)
		}
		j.place = w.places[at]
		if j.state.CompareAndSwap(jobQueued, jobRunning) {
			running = append(running, j)
		}
	}
	w.queue.waiting.Add(-int64(len(running)))
	w.used, w.bad, w.gone = w.used || len(running) > 0, false, false
	return running
}

// together runs jobs as a series, and by themselves those that are left when one fails or takes long. A job that its caller has taken back is the caller's.
func (w *worker) together(jobs []*job, t int64) {
	start := w.series.sign(w.s.list, uint(w.s.h), len(jobs))
	for i, j := range jobs {
		switch p := w.places[i]; {
		case p.finished():
			begun, ended := w.series.times(i)
			begun, ended = t+begun-start, t+ended-start
			w.series.get(i, j)
			j.started.Store(begun)
			w.conclude(j, begun, ended)
		case p.untried():
			w.alone(j)
		}
	}
}

// alone runs one job, where there is a session for it.
func (w *worker) alone(j *job) {
	if w.gone || w.bad && !w.anew() {
		j.end()
		return
	}
	t := now()
	j.started.Store(t)
	w.since.Store(t)
	w.exec(j)
	w.conclude(j, t, now())
}

// conclude looks at how a job ended, and hands it to its caller.
func (w *worker) conclude(j *job, begun, ended int64) {
	if classify(j.rv) == classSession {
		w.again(j)
		ended = now()
	}
	if j.kind == jobSign && j.rv == pkcs11.CKR_OK && j.bound != nil {
		j.bound.learn(time.Duration(ended - begun))
	}
	j.ended = ended
	lost, bad, undo := classify(j.rv) == classLost, w.judge(j), j.undo // before the caller has it: then it is another's
	if j.err != nil {
		undo = nil
	}
	if !j.finish() && undo != nil {
		undo(&w.s)
	}
	w.bad, w.gone = w.bad || bad, w.gone || lost
}

// finish hands the job to its caller; false where the caller has gone.
func (j *job) finish() bool {
	if j.state.CompareAndSwap(jobRunning, jobDone) {
		j.done <- struct{}{}
		return true
	}
	return false
}

// end hands a job back for which nothing was called.
func (j *job) end() {
	j.over = true
	j.finish()
}

// again runs a job once more, with a new session: the old one turned out to be dead.
func (w *worker) again(j *job) {
	if w.anew() {
		j.out = j.out[:cap(j.out)]
		if w.stillThere(j) {
			w.exec(j)
		}
	}
}

// anew puts a new session in the place of the old one, while we are in the module.
func (w *worker) anew() bool {
	w.gen.tok.stats.replaced.Add(1)
	_ = w.s.ctx.CloseSession(w.s.h)
	w.s.h = pkcs11.CK_INVALID_HANDLE // the module may give the number to another session
	h, err := w.s.ctx.OpenSession(w.s.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return false
	}
	w.s.h, w.bad = h, false
	return true
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
