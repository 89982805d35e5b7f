package hsm

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// generation is one life of the module as one Token sees it: its sessions, its index of objects, its handles. Nothing of it is valid in another.
type generation struct {
	tok    *Token
	owner  *owner
	number uint64
	life   *life

	sign  *queue // signatures, decryptions, look-ups: workers of the pool
	make  *queue // creation, destruction, listing: one worker, because they slow signing down
	probe *queue // health: one worker, with the spare session that keeps the login alive

	workers sync.WaitGroup
	mu      sync.Mutex
	all     []*worker // every worker that is not lost
	stuck   []*worker // lost: their call does not come back

	done chan struct{} // closed at the end of the generation
	once sync.Once

	name        string // the token's label and serial number
	opened      int64  // when, in the clock of now()
	provisional bool   // opened because the token was initialised by someone else: to be opened once more (secondLook)
	index       index
	resolving   chan struct{} // room for one look-up in the token at a time
	lost        chan struct{} // closed when a call says that the token is gone
	lostOnce    sync.Once
	doubt       atomic.Bool // something gave reason to doubt the token since the last health check
}

// reserved sessions beside the pool: the spare one, the one that makes keys, crypto11's.
const reservedSessions = 2 + crypto11Sessions

// openGeneration opens the token, its sessions and the index of its objects.
func (t *Token) openGeneration(pin *string) (*generation, error) {
	g := &generation{tok: t, number: t.stats.generation.Add(1), done: make(chan struct{}), resolving: make(chan struct{}, 1), lost: make(chan struct{}), opened: now(),
		sign: t.newQueue(), make: t.newQueue(), probe: t.newQueue()}
	o, err := t.mod.openOwner(t.choice, pin, g.end)
	if err != nil {
		return nil, err
	}
	g.owner, g.life = o, o.life
	g.sign.single = g.life.list == nil
	g.provisional = t.twice.Swap(false)
	if err := g.start(); err != nil {
		g.end()
		g.workers.Wait()
		t.mod.release(o, t.cfg.CallTimeout)
		return nil, err
	}
	return g, nil
}

func (t *Token) newQueue() *queue { return newQueue(t.cfg.QueueLimit) }

// start opens the spare session first, then the others, and lists the objects.
func (g *generation) start() error {
	info, err := g.tokenInfo()
	if err != nil {
		return err
	}
	g.name = info.Label + info.SerialNumber
	spare, err := g.openWorker(g.probe)
	if err != nil {
		return err
	}
	go spare.run()
	maker, err := g.openWorker(g.make)
	if err != nil {
		return err
	}
	go maker.run()
	for n := range poolSize(g.tok.cfg.MaxSessions, info) {
		w, err := g.openWorker(g.sign)
		if err != nil && n == 0 {
			return err
		}
		if err != nil {
			g.tok.log.Warn("fewer sessions than set: the token gives no more", zap.Int("sessions", n), zap.Error(err))
			break
		}
		go w.run()
	}
	return g.call(context.Background(), g.make, callFind, limits{g.tok.cfg.CallTimeout, 100 * g.tok.cfg.CallTimeout}, g.index.build)
}

func (g *generation) tokenInfo() (pkcs11.TokenInfo, error) {
	var info pkcs11.TokenInfo
	err := g.enter("open", func(ctx *pkcs11.Ctx) (err error) {
		info, err = ctx.GetTokenInfo(g.owner.slot)
		return err
	})
	return info, err
}

// enter runs f in the module, without a session.
func (g *generation) enter(op string, f func(*pkcs11.Ctx) error) error {
	if !g.life.enter() {
		return g.tok.unavailable(op)
	}
	defer g.life.exit()
	if err := f(g.life.ctx); err != nil {
		return fail(op, rvOf(err), "")
	}
	return nil
}

// poolSize is how many sessions sign: at most the setting, and what the token has beyond those reserved, but one in any case.
func poolSize(setting int, info pkcs11.TokenInfo) int {
	n := setting
	for _, limit := range []uint{info.MaxSessionCount, info.MaxRwSessionCount} {
		if limit != pkcs11.CK_EFFECTIVELY_INFINITE && limit != pkcs11.CK_UNAVAILABLE_INFORMATION && limit < 1<<20 {
			n = min(n, int(limit)-reservedSessions)
		}
	}
	return max(n, 1)
}

// openWorker makes a worker with its session; the caller starts it.
func (g *generation) openWorker(q *queue) (*worker, error) {
	w := g.newWorker(q)
	err := g.enter("open session", func(ctx *pkcs11.Ctx) (err error) {
		w.s.h, err = ctx.OpenSession(g.owner.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		return err
	})
	if err != nil {
		return nil, err
	}
	w.open = true
	g.mu.Lock()
	g.all = append(g.all, w)
	g.mu.Unlock()
	g.workers.Add(1)
	return w, nil
}

func (g *generation) newWorker(q *queue) *worker {
	return &worker{gen: g, queue: q, s: session{ctx: g.life.ctx, slot: g.owner.slot, list: g.life.list, kem: g.life.kem, name: &g.name, twice: &g.tok.twice, login: !g.tok.cfg.NoLogin}}
}

// replaceStuck gives up the workers whose call is past its deadline and puts others in their place; but never more than there were at first,
// since a module that hangs would take every thread of the process.
func (g *generation) replaceStuck() {
	g.sign.nudge()
	g.mu.Lock()
	defer g.mu.Unlock()
	t := now()
	for i, w := range g.all {
		since := w.since.Load()
		if w.queue != g.sign || since == 0 || t-since < int64(g.tok.cfg.CallTimeout) || len(g.stuck) >= len(g.all) {
			continue
		}
		w.lost.Store(true)
		g.stuck = append(g.stuck, w)
		n := g.newWorker(w.queue) // opens its session itself: that may hang too
		g.all[i] = n
		g.workers.Add(1)
		go n.run()
		g.tok.stats.replaced.Add(1)
		g.tok.log.Warn("a call does not come back: its session is given up", zap.Duration("since", time.Duration(t-since)))
	}
}

// found is told by a lost worker that its call came back.
func (g *generation) found(w *worker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.stuck {
		if g.stuck[i] == w {
			g.stuck = append(g.stuck[:i], g.stuck[i+1:]...)
			return
		}
	}
}

// oldest says for how long the oldest call has been inside the module.
func (g *generation) oldest() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var age int64
	for _, list := range [][]*worker{g.all, g.stuck} {
		for _, w := range list {
			if since := w.since.Load(); since != 0 {
				age = max(age, now()-since)
			}
		}
	}
	return time.Duration(age)
}

// suspect notes a return value that gives reason to doubt the token, and has it looked at now.
func (g *generation) suspect(rv uint) {
	if classify(rv) == classLost {
		g.lostOnce.Do(func() { close(g.lost) })
	}
	if !g.doubt.Swap(true) {
		g.tok.log.Debug("the token is asked how it is", zap.String("after", rvName(rv)))
		g.tok.wake()
	}
}

// condemn ends the generation and has the watch open another.
func (g *generation) condemn() {
	g.tok.away.CompareAndSwap(nil, &Error{Kind: ErrUnavailable, Op: "call", Detail: "the token is being opened again", Advice: "try again shortly"})
	g.end()
	g.tok.wake()
}

// forget drops what the index says of a key whose handle names nothing any more.
func (g *generation) forget(id []byte, handle uint) {
	if e, _ := g.index.get(id); e != nil && e.has(handle) {
		g.index.lose(id)
	}
}

// end lets nobody in any more; workers stop as soon as they are out of the module.
func (g *generation) end() {
	g.once.Do(func() {
		close(g.done)
		g.index.clear()
	})
}

func (g *generation) String() string { return fmt.Sprintf("generation %d", g.number) }
