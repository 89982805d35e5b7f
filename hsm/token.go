package hsm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Token is an open, logged-in token. It is safe for concurrent use.
type Token struct {
	cfg    Config
	log    *zap.Logger
	mod    *module
	choice slotChoice
	stats  counters

	gen       atomic.Pointer[generation] // nil while the token is away
	away      atomic.Pointer[Error]      // why it is away
	oaep      rawOAEP
	gcmNoIV   atomic.Bool              // gcm_iv: token is asked for by giving no IV at all, instead of one of zeros
	agreeForm atomic.Int32             // how the token wants ECDH: an index of agreeForms
	noAllowed atomic.Bool              // the token refuses CKA_ALLOWED_MECHANISMS
	tests     atomic.Pointer[selfTest] // what the token can do
	search    search
	twice     atomic.Bool // the next generation is provisional
	observer  atomic.Pointer[func(context.Context, Timing)]

	kick    chan struct{} // look at the token now
	stop    chan struct{}
	stopped chan struct{} // the watch has ended
	closing sync.Once
	busy    atomic.Int64 // since when the watch has been opening or closing the module; 0: it is not
}

type counters struct {
	generation, calls, timeouts, replaced, refused, recoveries, checkFailures atomic.Uint64
}

// Open opens the module and the token, logs in once, tests what the token can do, and starts to watch over it. ErrPINRefused means that the
// token refused the PIN: do not call Open again with it, since many tokens lock after a few wrong ones.
func Open(ctx context.Context, c Config) (*Token, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	mod, err := openModule(c.Module, c.InitArgs)
	if err != nil {
		return nil, err
	}
	t := &Token{cfg: c, log: c.Log, mod: mod, choice: slotChoice{c.Label, c.Serial, c.Slot},
		kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	pin, err := readPIN(c)
	if err != nil {
		return nil, err
	}
	opened := make(chan error, 1)
	go func() { opened <- t.first(pin) }()
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
		return t, nil
	case <-ctx.Done():
		go func() { // the module hangs, or is slow: give up what comes of it
			if <-opened == nil {
				_ = t.Close()
			}
		}()
		return nil, &Error{Kind: ErrTimeout, Op: "open", Detail: "the module does not answer", cause: ctx.Err()}
	}
}

// first makes the first generation and starts the watch.
func (t *Token) first(pin *string) error {
	g, err := t.openGeneration(pin)
	if err != nil {
		return err
	}
	t.gen.Store(g)
	if err := t.selfTest(g); err != nil {
		close(t.stopped)
		_ = t.Close()
		return err
	}
	go t.watch(pin)
	return nil
}

// Close stops the work and gives up the module. Calls after it fail with ErrUnavailable. Where a call does not come back from the module,
// Close gives up after the call timeout with ErrTimeout, and the module stays as it is.
func (t *Token) Close() error {
	var err error
	t.closing.Do(func() {
		close(t.stop)
		done := make(chan bool, 1)
		go func() { done <- t.shut() }()
		select {
		case ok := <-done:
			if ok {
				return
			}
		case <-time.After(t.cfg.CallTimeout):
		}
		err = &Error{Kind: ErrTimeout, Op: "close", Detail: "a call does not come back from the module"}
	})
	return err
}

func (t *Token) shut() bool {
	<-t.stopped
	g := t.gen.Swap(nil)
	t.away.Store(&Error{Kind: ErrUnavailable, Op: "call", Detail: "the token is closed"})
	if g == nil {
		return true
	}
	g.end()
	g.workers.Wait()
	return t.mod.release(g.owner, t.cfg.CallTimeout)
}

// current returns the generation, or why there is none.
func (t *Token) current(op string) (*generation, error) {
	if g := t.gen.Load(); g != nil && t.away.Load() == nil {
		return g, nil
	}
	return nil, t.unavailable(op)
}

// unavailable is the error while the token is away.
func (t *Token) unavailable(op string) *Error {
	e := Error{Kind: ErrUnavailable, Detail: "the token is being opened again", Advice: "try again shortly"}
	if why := t.away.Load(); why != nil {
		e = *why
	}
	e.Op = op
	return &e
}

func (t *Token) limits() limits { return limits{t.cfg.WaitTimeout, t.cfg.CallTimeout} }

// wake has the watch look at the token now.
func (t *Token) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// Stats returns the figures of the session pool and of the recovery.
func (t *Token) Stats() Stats {
	s := Stats{Generation: t.stats.generation.Load(), Calls: t.stats.calls.Load(), Timeouts: t.stats.timeouts.Load(),
		Replaced: t.stats.replaced.Load(), Refused: t.stats.refused.Load(), Recoveries: t.stats.recoveries.Load(),
		CheckFailures: t.stats.checkFailures.Load()}
	g := t.gen.Load()
	if g == nil {
		return s
	}
	s.Available = t.away.Load() == nil
	s.Waiting = int(g.sign.waiting.Load())
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Stuck = len(g.stuck)
	for _, w := range g.all {
		if w.queue == g.sign {
			s.Sessions++
			if w.since.Load() != 0 {
				s.Busy++
			}
		}
	}
	return s
}

// Hung reports whether a call has been inside the module for longer than d: then the process that holds the module has to be replaced,
// since a call in C cannot be cancelled.
func (t *Token) Hung(d time.Duration) bool {
	if since := t.busy.Load(); since != 0 && now()-since > int64(d) {
		return true
	}
	g := t.gen.Load()
	return g != nil && g.oldest() > d
}

// Waiting is how many calls wait for a session now. It costs next to nothing.
func (t *Token) Waiting() int {
	if g := t.gen.Load(); g != nil {
		return int(g.sign.waiting.Load())
	}
	return 0
}

// asError gives the *Error in err.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: ErrFailed, Detail: err.Error()}
}
