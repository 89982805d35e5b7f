package hsm

import (
	"context"
	"errors"
	"time"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// The recovery ladder. A worker replaces its own session; everything above is done here, by one goroutine: it asks the token about each
// second, and at once when a call gives reason to. A token that is gone, or logged out, is opened again: finalise, initialise, log in,
// until it is back. A token that does not answer is left alone, since finalising beneath a call ends the process: it comes back by
// itself, or the process has to be replaced (Hung).

// watch runs until the Token is closed. pin is what the last login was made with.
func (t *Token) watch(pin *string) {
	defer close(t.stopped)
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	var checked time.Time
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		case <-t.kick:
		}
		if since := time.Since(checked); since < healthLeast { // strangers' bad ciphertexts must not have us do nothing else
			time.Sleep(healthLeast - since)
		}
		checked = time.Now()
		g := t.gen.Load()
		g.replaceStuck()
		err := t.health(g)
		if err == nil {
			t.settle(g)
			continue
		}
		if t.away.Swap(err) == nil {
			t.log.Error("the token is away", zap.Error(err))
		}
		if err.Kind == ErrTimeout && !g.isLost() {
			continue // it hangs: calls fail at once until it answers
		}
		if pin = t.recover(g, pin); t.gen.Load() == nil {
			return // closed meanwhile
		}
	}
}

// secondLook is when a token that was initialised by someone else is opened once more. We may have come in the middle of that: SoftHSM
// then has the old token's key in memory, sees no new private key and would spoil the ones that it makes.
const secondLook = 2 * time.Second

// settle is what follows a good answer: back in service, and another look for the keys that were missing.
func (t *Token) settle(g *generation) {
	if t.away.Swap(nil) != nil {
		t.log.Info("the token is back", zap.Stringer("in", g))
	}
	if g.provisional && now()-g.opened > int64(secondLook) {
		g.condemn()
		return
	}
	var still []byte
	for _, id := range g.index.due(missingEachCheck) {
		var e *entry
		err := g.call(context.Background(), g.probe, callInfo, t.limits(), func(s *session) (err error) {
			e, err = s.lookUp(id)
			return err
		})
		if err != nil {
			return
		}
		if len(e.keys()) > 0 {
			g.index.put(id, e)
		} else {
			still = id
		}
	}
	if still != nil {
		t.searchAnew(g, still)
	}
}

// secondThought is when a token that seems to be away is asked once more: SoftHSM answers wrongly for a moment while another process logs in
// and writes the token's file anew.
const secondThought = 50 * time.Millisecond

// health asks the token whether it is there and we are logged in.
func (t *Token) health(g *generation) *Error {
	select {
	case <-g.done:
		return &Error{Kind: ErrUnavailable, Op: "health", Detail: "the token is being opened again", Advice: "try again shortly"}
	default:
	}
	g.doubt.Store(false)
	err := t.askHealth(g)
	if err != nil && !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrBusy) && !g.isLost() {
		time.Sleep(secondThought)
		err = t.askHealth(g)
	}
	if err == nil {
		return nil
	}
	e := asError(callError("health", err))
	if e.Kind != ErrTimeout && e.Kind != ErrBusy {
		e = &Error{Kind: ErrUnavailable, Op: "health", RV: e.RV, Detail: "the token is away", Advice: "try again shortly"}
	} else {
		e = &Error{Kind: ErrTimeout, Op: "health", Detail: "the module does not answer", Advice: "if it stays so, replace the process that holds the module"}
	}
	return e
}

// askHealth gives the token its time to answer; much less when a call has said that the token is gone, since when p11-kit's server dies some calls get
// an error and some wait for ever.
func (t *Token) askHealth(g *generation) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- t.healthy(ctx, g) }()
	select {
	case err := <-answer:
		return err
	case <-g.lost:
	}
	patience := time.NewTimer(lastMoment)
	defer patience.Stop()
	select {
	case err := <-answer:
		return err
	case <-patience.C:
		cancel()
		return <-answer
	}
}

func (g *generation) isLost() bool {
	select {
	case <-g.lost:
		return true
	default:
		return false
	}
}

// healthy asks for the token and the state of the session. Whatever else the token answers, it is away.
func (s *session) healthy() error {
	away := func(rv uint) error {
		return &Error{Kind: ErrUnavailable, RV: rv, Detail: "the token is away", Advice: "try again shortly"}
	}
	tok, err := s.ctx.GetTokenInfo(s.slot)
	if err != nil {
		return away(rvOf(err))
	}
	if *s.name != "" && *s.name != tok.Label+tok.SerialNumber { // someone initialised it: our login and handles are of the old one
		s.twice.Store(true)
		return away(pkcs11.CKR_TOKEN_NOT_RECOGNIZED)
	}
	info, err := s.ctx.GetSessionInfo(s.h)
	if err != nil {
		return err // of this session alone, which the worker replaces
	}
	if s.login && info.State != pkcs11.CKS_RW_USER_FUNCTIONS && info.State != pkcs11.CKS_RO_USER_FUNCTIONS {
		return away(pkcs11.CKR_USER_NOT_LOGGED_IN)
	}
	return nil
}

// recover ends the generation and opens the token again, as often as it takes. It returns the PIN that it logged in with.
func (t *Token) recover(g *generation, pin *string) *string {
	t.gen.Store(nil)
	g.end()
	life, refused := g.life, false
	var ends endings
	for wait := recoverFirst; ; wait = min(2*wait, recoverMost) {
		select {
		case <-t.stop:
			return pin
		default:
		}
		fresh, err := t.pinFor(pin, refused)
		if err == nil {
			pin, refused = fresh, false
			life, err = t.reopen(g, life, pin, &ends)
		}
		if err == nil {
			return pin
		}
		e := asError(err)
		if e.Kind == ErrPINRefused {
			refused = true
		}
		if old := t.away.Swap(e); old == nil || old.Kind != e.Kind {
			t.log.Error("the token cannot be opened yet", zap.Error(e))
		}
		select {
		case <-t.stop:
			return pin
		case <-time.After(wait):
		}
	}
}

// endings spaces the times at which a token that stays away ends the library's life, since every other token that is open in it is cut
// off each time. Where there is none, the life has ended by itself.
type endings struct {
	next time.Time
	wait time.Duration
}

func (e *endings) due() bool { return !time.Now().Before(e.next) }

func (e *endings) made() {
	e.wait = min(max(2*e.wait, endFirst), endMost)
	e.next = time.Now().Add(e.wait)
}

// pinFor reads the PIN again; after a refusal only another one than the refused will do.
func (t *Token) pinFor(last *string, refused bool) (*string, error) {
	pin, err := readPIN(t.cfg)
	if err != nil {
		return nil, err
	}
	if refused && pin != nil && last != nil && *pin == *last {
		why := *t.away.Load()
		return nil, &why
	}
	return pin, nil
}

// reopen ends the module's life in which things went wrong and opens a new generation. It returns the life to end next time.
func (t *Token) reopen(old *generation, l *life, pin *string, ends *endings) (*life, error) {
	t.busy.Store(now())
	defer t.busy.Store(0)
	if ends.due() {
		if !t.mod.end(l, t.cfg.CallTimeout) {
			return l, &Error{Kind: ErrTimeout, Op: "open", Detail: "a call does not come back from the module",
				Advice: "if it stays so, replace the process that holds the module"}
		}
		ends.made()
	}
	g, err := t.openGeneration(pin)
	if err != nil {
		return t.mod.present(), err
	}
	if err := t.selfTest(g); err != nil {
		g.end()
		g.workers.Wait()
		t.mod.release(g.owner, t.cfg.CallTimeout)
		return t.mod.present(), err
	}
	t.stats.recoveries.Add(1)
	t.gen.Store(g)
	t.away.Store(nil)
	t.log.Info("the token is open again", zap.Stringer("in", g))
	return g.life, nil
}
