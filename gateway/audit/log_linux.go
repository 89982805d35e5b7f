package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Log is an open log. Its methods may be called from many goroutines.
type Log struct {
	path  string
	opts  Options
	disk  *disk
	queue chan *entry
	quit  chan struct{} // closed by Close: write what is queued and end
	done  chan struct{} // closed by the writer at its end
	once  sync.Once

	// The writer's own.
	headFile *headFile
	base     walker // the place in the chain where the file begins
	seq      uint64 // of the last durable record
	sum      hash   // of its line
	size     int64  // of the file up to it
	batch    []*entry
	crowd    int           // length of the last batch
	callTime time.Duration // what calls take up to their record, on average
	places   []placed
	buf      []byte
	broken   error  // why nothing can be written, or nil
	headLost bool   // the head file needs to be made anew
	dirty    bool   // the file may hold bytes of a refused batch after size
	hurt     bool   // someone else changed the file's length: its content is to be verified before going on
	rescued  string // where the content of a deleted file was saved
	nextTry  time.Time

	// The writer's own, about closing the file (rotate_linux.go).
	began    time.Time   // when its first record was made
	age      *time.Timer // fires when the file is old enough
	nextTurn time.Time   // after a rotation that failed: not before
	next     *disk       // it may stand at the log's path now; set until that is known
	turning  Segment     // what the file becomes then
	keeper   *keeper

	// What the writer shows, and the watch on it.
	mu      sync.Mutex
	flight  []*entry // the batch that is being written
	writing bool
	begun   time.Time
	watch   *time.Timer
	shown   Stats
	recent  recent
	news    chan struct{} // closed when there are records that nobody who waits has seen; nil if nobody waits
	stalled atomic.Bool
	refused atomic.Uint64

	queuing  atomic.Pointer[func() bool] // see GatherWhile
	quickest atomic.Int64                // nanoseconds that the quickest call took, of those that wait; see noteQuick
	synced   atomic.Pointer[func(time.Duration, int)]
}

// Stats are the log's figures since Open.
type Stats struct {
	Head     Receipt       // the last durable record
	Size     int64         // bytes of the file that is being written
	Appended uint64        // records made durable
	Batches  uint64        // writes with their fdatasync
	Refused  uint64        // records that were refused
	Repairs  uint64        // times the log broke and was mended
	Queued   int           // records that wait now
	LastSync time.Duration // what the last fdatasync took
	MaxSync  time.Duration // and the slowest
	Broken   error         // why Append is refused now, or nil
	Segments int           // closed segments
	Trouble  error         // what fails beside the writing of records (Options.OnTrouble), or nil
}

// entry is one record on its way through the writer.
type entry struct {
	body  []byte
	kept  *Record       // the record, for those who follow
	took  time.Duration // what the call took up to its record
	probe bool          // no record: asks whether the log is as it should be
	taken atomic.Bool   // by whoever answers it, or by a caller that gave up
	done  chan outcome  // holds one
	limit *time.Timer   // of Append; stopped elsewhere
}

type outcome struct {
	seq   uint64
	sum   hash
	err   error
	reuse bool // the writer has let go of the entry
}

var entries = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &entry{done: make(chan outcome, 1), body: make([]byte, 0, 1024), limit: t}
}}

func newEntry(r *Record) *entry {
	e := entries.Get().(*entry)
	e.body, e.took = appendBounded(e.body[:0], r), time.Duration(r.LatencyMicros)*time.Microsecond
	e.kept = asWritten(r, e.body)
	return e
}

// free gives back an entry that the writer has let go of.
func (e *entry) free() {
	e.kept = nil
	e.taken.Store(false)
	entries.Put(e)
}

// answer gives the outcome to the caller, once. It answers false if the caller has one or has left.
func (e *entry) answer(o outcome) bool {
	if !e.taken.CompareAndSwap(false, true) {
		return false
	}
	e.done <- o
	return true
}

func newLog(d *disk, o Options) *Log {
	l := &Log{path: d.path, opts: o, disk: d, queue: make(chan *entry, o.Queue), quit: make(chan struct{}), done: make(chan struct{}), headFile: &headFile{disk: d}}
	l.watch = time.AfterFunc(time.Hour, l.stall)
	l.watch.Stop()
	l.quickest.Store(math.MaxInt64)
	l.age = time.NewTimer(time.Hour)
	l.age.Stop()
	return l
}

// Append gives r the next number in the log and returns when its line is on the disk, together with all that
// were queued with it. It does not change r. With an error, always ErrNotDurable, the record does not count and
// whatever it was to vouch for must be thrown away; if the context ended while the disk was busy, the record
// may be in the log all the same: the log can hold more than was answered, never less. It waits for Options.Timeout
// at most.
func (l *Log) Append(ctx context.Context, r *Record) (Receipt, error) {
	e := newEntry(r)
	e.limit.Reset(l.opts.Timeout)
	o := l.submit(ctx, e)
	e.limit.Stop()
	if o.reuse {
		e.free()
	}
	if o.err != nil {
		l.refused.Add(1)
		return Receipt{}, o.err
	}
	return Receipt{Seq: o.seq, Hash: o.sum.String()}, nil
}

// submit queues e and waits for its outcome as long as the context allows.
func (l *Log) submit(ctx context.Context, e *entry) outcome {
	if err := l.enqueue(ctx, e); err != nil {
		return outcome{err: err, reuse: true}
	}
	return l.await(ctx, e)
}

// enqueue queues e, or says why it is not in the queue.
func (l *Log) enqueue(ctx context.Context, e *entry) error {
	if ctx.Err() != nil {
		return gaveUp(ctx, "before the record was queued")
	}
	if l.stalled.Load() {
		return l.stalledError()
	}
	l.noteQuick(e.took)
	select {
	case <-l.quit:
		return errClosed()
	case l.queue <- e:
		return nil
	default:
	}
	select {
	case l.queue <- e:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx, "while the queue was full")
	case <-e.limit.C:
		return gaveUp(ctx, "while the queue was full")
	case <-l.done:
		return errClosed()
	}
}

// await waits for the outcome of what is in the queue.
func (l *Log) await(ctx context.Context, e *entry) outcome {
	select {
	case o := <-e.done:
		return o
	case <-ctx.Done():
	case <-e.limit.C:
	case <-l.done: // queued after the writer's last look
	}
	if !e.taken.CompareAndSwap(false, true) {
		return <-e.done // answered in the same moment
	}
	select {
	case <-l.done:
		return outcome{err: errClosed()}
	default:
		return outcome{err: gaveUp(ctx, "while the disk was busy")}
	}
}

func gaveUp(ctx context.Context, when string) error {
	return &Error{Kind: ErrNotDurable, Detail: "the caller's time was over " + when, Cause: cmp.Or(context.Cause(ctx), context.DeadlineExceeded),
		Advice: "try again; if it lasts, look at the log's disk"}
}

func errClosed() error {
	return &Error{Kind: ErrNotDurable, Detail: "the log is closed", Advice: "the process is ending; send the request again when it is back"}
}

func (l *Log) stalledError() error {
	return &Error{Kind: ErrNotDurable, Detail: fmt.Sprintf("the disk of %s has not finished a write within %v", l.disk.path, l.opts.Timeout),
		Advice: "look at the disk and the system's log; writing goes on by itself when the disk answers"}
}

// GatherWhile sets what tells the log that callers queue up elsewhere. While they do, their work goes on without a
// caller that is kept waiting, so the log gathers records from fewer than 12 callers too, and for up to half
// of the time that calls take, but no longer than five times Options.Gather. queuing must return at once.
func (l *Log) GatherWhile(queuing func() bool) { l.queuing.Store(&queuing) }

// OnSync has f told of every fdatasync of the log: what it took, and of how many records. The writer waits for f.
func (l *Log) OnSync(f func(took time.Duration, records int)) { l.synced.Store(&f) }

// Head gives the last durable record; Seq 0 if there is none.
func (l *Log) Head() Receipt { return l.Stats().Head }

// Stats gives the log's figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	s := l.shown
	l.mu.Unlock()
	s.Queued, s.Refused = len(l.queue), l.refused.Load()
	s.Segments, s.Trouble = l.keeper.status()
	if l.stalled.Load() {
		s.Broken = l.stalledError()
	}
	return s
}

// Broken is why no record can be appended now, as far as is known, or nil. It waits for nothing, and every call asks it.
func (l *Log) Broken() error {
	if l.stalled.Load() {
		return l.stalledError()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown.Broken
}

// Ready is nil if a record could be appended now, as far as can be told without writing one. A broken log is
// mended here too, if it can be, so that a service that gets no calls while it is not ready comes back.
func (l *Log) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.Timeout)
	defer cancel()
	e := entries.New().(*entry)
	e.probe = true
	return l.submit(ctx, e).err
}

// Close writes what is queued, makes log and head durable and gives the file free. If the disk is blocked it
// gives up after Options.Timeout.
func (l *Log) Close() error {
	l.once.Do(func() { close(l.quit) })
	limit := time.NewTimer(l.opts.Timeout)
	defer limit.Stop()
	select {
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.shown.Broken
	case <-limit.C:
		return l.stalledError()
	}
}
