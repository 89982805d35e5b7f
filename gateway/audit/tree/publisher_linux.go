package tree

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Options of a Publisher. All but Interval and the functions that tell of events are required.
type Options struct {
	// Origin names the log; CheckOrigin says which names are good.
	Origin string
	// Keys are the verifier keys of the log, the one that signs now first. Checkpoints that an older one signed stay good.
	Keys []string
	// Sign signs a text with the first of the keys; see NewSigner.
	Sign func(ctx context.Context, text []byte) ([]byte, error)
	// Interval is how often a checkpoint is published while there are new records. A caller of Wait has one within a
	// tenth of it. Default 1 s.
	Interval time.Duration
	// Timeout bounds one signature. Default 5 s.
	Timeout time.Duration
	// Signed is the last tree that is known, elsewhere than in the folder, to have been signed: nothing is signed that does
	// not continue it. The zero value: none is known.
	Signed Signed
	// OnState, if set, is called when no checkpoint can be made any more, or for another reason than before (with the
	// reason), and when it goes on (with nil).
	OnState func(error)

	fault      func(step) failure // tests make a step fail
	maxHistory int64              // tests thin out a short one; 0: MaxHistory
}

// Kinds of error, for errors.Is.
var (
	// ErrInconsistent: what was published does not fit the log. Nothing is signed until an operator has found out why.
	ErrInconsistent = errors.New("the log does not fit its checkpoints")
	// ErrDamaged: files of the tree cannot be read and cannot be made anew.
	ErrDamaged = errors.New("the tree of the log is damaged")
)

// Publisher keeps the tree of a log: it follows the log, writes tiles and publishes checkpoints. Nobody who appends to
// the log waits for it.
type Publisher struct {
	log    *audit.Log
	path   string
	disk   *disk
	opts   Options
	keys   []note.Verifier
	ctx    context.Context // ends it
	stop   context.CancelFunc
	done   chan struct{}
	grown  chan struct{} // holds one: there are new records
	asked  chan struct{} // holds one: somebody waits for a checkpoint
	signer note.Signer

	// The tree, as far as records were read. The lock is held while tiles are written.
	mu      sync.Mutex
	edge    *Edge
	sum     [32]byte // of the last line, if there is one and it is known
	known   bool
	full    []filled    // that are not on the disk yet
	outworn []tlog.Tile // that are, and whose parts were not removed yet
	since   time.Time   // when the first record came that no checkpoint covers

	// The publishing goroutine's own.
	history *os.File
	end     int64      // of the history's last line
	last    Checkpoint // in the history
	when    time.Time  // it was made
	signed  Signed     // the largest tree that is known to have been signed, when the tree was loaded

	showing sync.Mutex // while the file checkpoint is replaced
	state   state
}

// Start begins to keep the tree of the log at path. It does not wait for it, and ends with Close.
func Start(log *audit.Log, path string, o Options) (*Publisher, error) {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.maxHistory == 0 {
		o.maxHistory = MaxHistory
	}
	if err := CheckOrigin(o.Origin); err != nil {
		return nil, err
	}
	p := &Publisher{log: log, path: path, opts: o, disk: &disk{dir: DirOf(path), fault: o.fault}, signed: o.Signed,
		done: make(chan struct{}), grown: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	for _, key := range o.Keys {
		keys, err := ParseKeys(key)
		if err != nil {
			return nil, err
		}
		p.keys = append(p.keys, keys...)
	}
	var err error
	if p.signer, err = NewSigner(o.Keys[0], p.sign); err != nil {
		return nil, err
	}
	go p.run()
	return p, nil
}

// Dir is where the tree lies.
func (p *Publisher) Dir() Dir { return p.disk.dir }

// sign asks the token.
func (p *Publisher) sign(text []byte) (sig []byte, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), p.opts.Timeout)
	defer cancel()
	err = p.disk.do(stepSign, 0, func(int) error {
		sig, err = p.opts.Sign(ctx, text)
		return err
	})
	return sig, err
}

// run loads the tree from the disk and follows the log. After an error it does so again: what a crash leaves and what an
// error leaves is taken up in the same way.
func (p *Publisher) run() {
	defer close(p.done)
	for pause := time.Duration(0); ; {
		err := p.load()
		if err == nil {
			err = p.follow()
		}
		if p.history != nil {
			_ = p.history.Close() // each line was synced
		}
		if p.ctx.Err() != nil || err == nil {
			return
		}
		p.state.failed(err, p.opts.OnState)
		pause = pauseAfter(err, pause, 5*p.opts.Interval)
		select {
		case <-time.After(pause):
		case <-p.ctx.Done():
			return
		}
	}
}

// maxPause bounds the time between two tries to take up a tree that does not fit, each of which may read the whole log.
const maxPause = time.Minute

// pauseAfter is how long nothing is tried after an error, given how long it was before it.
func pauseAfter(err error, before, least time.Duration) time.Duration {
	if errors.Is(err, ErrInconsistent) || errors.Is(err, ErrDamaged) {
		return min(max(2*before, least), max(least, maxPause))
	}
	return least
}

// follow takes records and publishes, until the log is closed or something fails.
func (p *Publisher) follow() error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	publishing := make(chan struct{})
	go func() {
		defer close(publishing)
		cancel(p.publishAll(ctx))
	}()
	err := p.log.Follow(ctx, uint64(p.edge.size), p.take)
	cancel(err)
	<-publishing
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// keep is how many full tiles are kept in memory until the next checkpoint.
const keep = 64

// take adds records to the tree. Nothing is signed that does not continue the chain, whatever file stands there now.
func (p *Publisher) take(lines []audit.Line) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lines {
		if l.Seq != uint64(p.edge.size)+1 || p.known && l.Prev != p.sum {
			return inconsistent("record %d does not continue the record that is the last one in the tree", l.Seq)
		}
		p.edge.Add(l.Text, func(t tlog.Tile, data []byte) { p.full = append(p.full, filled{t, data}) })
		p.sum, p.known = l.Hash, true
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if len(p.full) >= keep {
		if err := p.write(nil); err != nil {
			return err
		}
	}
	wake(p.grown)
	return nil
}

// write makes the full tiles durable, and more. The caller holds p.mu.
func (p *Publisher) write(more []filled) error {
	if err := p.disk.writeTiles(append(p.full, more...)); err != nil {
		return err
	}
	for _, f := range p.full {
		p.outworn = append(p.outworn, f.tile)
	}
	p.full = p.full[:0]
	return nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close publishes a checkpoint of all that is in the log, as long as the context allows and nothing hinders it, and
// ends. It is called before the log is closed.
func (p *Publisher) Close(ctx context.Context) error {
	err := p.Stats().Err
	if err == nil {
		_, err = p.Wait(ctx, p.log.Head().Seq)
	}
	p.stop()
	<-p.done
	return err
}
