package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// keeper looks after the closed segments, in one goroutine beside the writer: it sees whether they are there, compresses
// them, and removes those whose time is over.
type keeper struct {
	path string
	opts Options
	wake chan struct{}
	stop context.CancelFunc
	done chan struct{}
	lost atomic.Pointer[Error] // a closed segment is gone: nothing may be written

	mu      sync.Mutex
	known   []Segment // as they should be
	trouble map[chore]error
}

const stepLook step = "look" // a closed segment is looked for

// chore is a part of what is done with segments that can fail while the log goes on.
type chore string

const (
	keepRotation    chore = "rotation"
	keepSegments    chore = "closed segments"
	keepCompression chore = "compression"
	keepRetention   chore = "retention"
)

func newKeeper(path string, o Options, known []Segment) *keeper {
	k := &keeper{path: path, opts: o, known: known, wake: make(chan struct{}, 1), done: make(chan struct{}), trouble: make(map[chore]error)}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	go k.run(ctx)
	return k
}

// run does a round at the beginning, after each rotation, and every now and then.
func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	// The thread lets others go first, and ends with this goroutine, since it is never unlocked. On a machine that has more to do than it can, the
	// lowest priority gets next to nothing, and the collector of garbage, for which all threads have to stop, would wait for it.
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) // of this thread; where it cannot be had it does without
	tick := time.NewTicker(k.opts.Check)
	defer tick.Stop()
	for ctx.Err() == nil {
		k.round(ctx)
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-tick.C:
		}
	}
}

func (k *keeper) round(ctx context.Context) {
	if k.check() != nil {
		return // nothing else is touched until it is mended
	}
	if !k.opts.Uncompressed {
		k.told(keepCompression, ignore(k.compress(ctx), context.Canceled))
	}
	k.told(keepRetention, k.retain(time.Now()))
}

// closed takes over a segment that the writer has closed.
func (k *keeper) closed(s Segment) {
	k.mu.Lock()
	k.known = append(k.known, s)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) segments() []Segment {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Segment(nil), k.known...)
}

// told notes how a chore has ended, and tells it if that is news.
func (k *keeper) told(c chore, err error) {
	k.mu.Lock()
	was := k.trouble[c]
	k.trouble[c] = err
	k.mu.Unlock()
	news := (was == nil) != (err == nil) || err != nil && was.Error() != err.Error()
	if news && k.opts.OnTrouble != nil {
		k.opts.OnTrouble(string(c), err)
	}
}

// status gives how many closed segments there are and what is wrong.
func (k *keeper) status() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all error
	for _, c := range []chore{keepRotation, keepSegments, keepCompression, keepRetention} {
		if err := k.trouble[c]; err != nil {
			all = both(all, fmt.Errorf("%s: %w", c, err))
		}
	}
	return len(k.known), all
}

// check sees whether every closed segment is there and as long as it was. The writer asks it, too, when it has to mend
// the log.
func (k *keeper) check() error {
	lost := k.missing()
	k.lost.Store(lost)
	if lost == nil {
		k.told(keepSegments, nil)
		return nil
	}
	k.told(keepSegments, lost)
	return lost
}

// missing looks for the segments without the lock: a disk that hangs must not stop who asks for figures.
func (k *keeper) missing() *Error {
	for _, s := range k.segments() {
		var info os.FileInfo
		err := k.opts.do(stepLook, 0, func(int) (err error) {
			info, err = os.Stat(s.File)
			return err
		})
		if (err != nil || info.Size() != s.Size) && !slices.ContainsFunc(k.segments(), s.is) {
			continue // it was compressed or removed meanwhile: what is known is changed before its file
		}
		switch {
		case err != nil:
			return &Error{Kind: ErrNotDurable, Detail: fmt.Sprintf("the closed segment with records %d to %d cannot be found", s.First, s.Last), Cause: err,
				Advice: "put it back, from a copy if need be; writing goes on by itself then"}
		case info.Size() != s.Size:
			return &Error{Kind: ErrNotDurable, Detail: fmt.Sprintf("someone changed %s: it was %d bytes long and is %d", s.File, s.Size, info.Size()),
				Advice: "put a copy of it back; writing goes on by itself then"}
		}
	}
	return nil
}

func (s Segment) is(other Segment) bool { return s.File == other.File && s.Size == other.Size }

// close ends the work at a place from which it can be begun again.
func (k *keeper) close() {
	k.stop()
	<-k.done
}

// replace puts another file in the place of a known segment; with none it is known no more.
func (k *keeper) replace(first uint64, with ...Segment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, s := range k.known {
		if s.First == first {
			k.known = append(k.known[:i:i], append(with, k.known[i+1:]...)...)
			return
		}
	}
}

var errCompressed = errors.New("what was compressed and read back is not the segment")
