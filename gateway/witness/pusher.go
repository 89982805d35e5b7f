package witness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Prover proves that the tree newer begins with all that older holds, of which the size is enough: tree.Dir.ProveTree.
type Prover func(newer, older tlog.Tree) (tlog.TreeProof, error)

// Cosigned is a witness's signature of a checkpoint, as a line of a note.
type Cosigned struct {
	Checkpoint tree.Checkpoint
	Line       string
}

// Options of a Pusher.
type Options struct {
	Witnesses []*Witness
	Files     []*File
	Prove     Prover
	// Cosigned is told of each cosignature.
	Cosigned func(Cosigned)
	// OnState is told when a place fails, and with nil when it has the newest checkpoint again.
	OnState func(place string, err error)
}

// Pusher hands checkpoints to the places.
type Pusher struct {
	options   Options
	followers []*follower
}

// place is where checkpoints go. push answers with a cosignature if the place gives one.
type place interface {
	Name() string
	push(ctx context.Context, c tree.Checkpoint, prove Prover) (cosignature string, err error)
}

// New makes a Pusher. Run starts it.
func New(o Options) *Pusher {
	p := &Pusher{options: o}
	for _, w := range o.Witnesses {
		p.add(w)
	}
	for _, f := range o.Files {
		p.add(f)
	}
	return p
}

func (p *Pusher) add(at place) {
	p.followers = append(p.followers, &follower{place: at, options: &p.options, wake: make(chan struct{}, 1)})
}

// Published tells of a checkpoint. It waits for nobody: a place that is busy takes the newest one when it is done.
func (p *Pusher) Published(c tree.Checkpoint) {
	for _, f := range p.followers {
		f.tell(c)
	}
}

// Run pushes until the context ends.
func (p *Pusher) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, f := range p.followers {
		all.Go(func() { f.run(ctx) })
	}
	all.Wait()
}

// State is how far a place is.
type State struct {
	Place  string
	Size   int64         // of the last tree that it has
	Behind time.Duration // since when there is a newer one that it has not; 0: there is none
	Err    error         // of the last try; nil when it was good
}

// States are those of all places.
func (p *Pusher) States() []State {
	states := make([]State, len(p.followers))
	for i, f := range p.followers {
		states[i] = f.state()
	}
	return states
}

// Pauses between tries at a place that fails, and how long one may take until it counts as failed.
const (
	firstPause = time.Second
	maxPause   = time.Minute
	patience   = 30 * time.Second
)

var errSlow = fmt.Errorf("it has not answered for %s", patience)

// follower keeps one place up to date.
type follower struct {
	place   place
	options *Options
	wake    chan struct{} // holds one

	mu     sync.Mutex
	newest tree.Checkpoint
	told   time.Time // when
	behind time.Time // since when the place lacks a checkpoint
	size   int64
	err    error
}

func (f *follower) tell(c tree.Checkpoint) {
	f.mu.Lock()
	f.newest, f.told = c, time.Now()
	if f.behind.IsZero() {
		f.behind = f.told
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) state() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{Place: f.place.Name(), Size: f.size, Err: f.err}
	if !f.behind.IsZero() {
		s.Behind = time.Since(f.behind)
	}
	return s
}

func (f *follower) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		for pause := firstPause; !f.try(ctx); pause = min(2*pause, maxPause) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// try pushes the newest checkpoint. A place that hangs is reported, and waited for: a second try would hang as well.
func (f *follower) try(ctx context.Context) (done bool) {
	f.mu.Lock()
	c := f.newest
	f.mu.Unlock()
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := f.place.push(ctx, c, f.options.Prove)
		answered <- answer{line, err}
	}()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-slow.C:
			f.failed(errSlow)
		case a := <-answered:
			if a.err != nil {
				if ctx.Err() == nil {
					f.failed(a.err)
				}
				return false
			}
			f.pushed(c)
			if a.line != "" {
				f.options.Cosigned(Cosigned{c, a.line})
			}
			return true
		}
	}
}

func (f *follower) failed(err error) {
	f.mu.Lock()
	news := f.err == nil || errors.Is(err, ErrInconsistent) && !errors.Is(f.err, ErrInconsistent)
	f.err = err
	f.mu.Unlock()
	if news {
		f.options.OnState(f.place.Name(), err)
	}
}

func (f *follower) pushed(c tree.Checkpoint) {
	f.mu.Lock()
	news := f.err != nil
	f.err, f.size, f.behind = nil, c.Tree.N, time.Time{}
	if f.newest.Tree.N != c.Tree.N { // published meanwhile
		f.behind = f.told
	}
	f.mu.Unlock()
	if news {
		f.options.OnState(f.place.Name(), nil)
	}
}
