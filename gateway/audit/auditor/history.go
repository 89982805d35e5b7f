package auditor

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strconv"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// history reads the checkpoints that were published, one after the other, beside the records.
type history struct {
	next   func() (pastCheckpoint, error, bool)
	stop   func()
	held   pastCheckpoint
	err    error
	filled bool
}

// pastCheckpoint is one of them, unverified.
type pastCheckpoint struct {
	number int
	size   int64
	text   []byte
}

var errStop = errors.New("enough")

func openHistory(d tree.Dir) *history {
	all := func(yield func(pastCheckpoint, error) bool) {
		n := 0
		err := d.History(func(p tree.Published) error {
			n++
			size, err := sizeOf(p.Checkpoint)
			if err != nil {
				err = fmt.Errorf("checkpoint %d of the history: %w", n, err)
			}
			if !yield(pastCheckpoint{n, size, []byte(p.Checkpoint)}, err) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) && !errors.Is(err, fs.ErrNotExist) {
			yield(pastCheckpoint{}, err)
		}
	}
	h := &history{}
	h.next, h.stop = iter.Pull2(all)
	return h
}

// sizeOf reads the second line.
func sizeOf(text string) (int64, error) {
	lines := strings.SplitN(text, "\n", 3)
	if len(lines) < 3 {
		return 0, errors.New("it is no checkpoint")
	}
	return strconv.ParseInt(lines[1], 10, 64)
}

// until gives the next one of at most size records, if there is one.
func (h *history) until(size int64) (pastCheckpoint, bool, error) {
	if !h.filled {
		var ok bool
		if h.held, h.err, ok = h.next(); !ok {
			return pastCheckpoint{}, false, nil
		}
		h.filled = true
	}
	if h.err != nil {
		return pastCheckpoint{}, false, h.err
	}
	if h.held.size > size {
		return pastCheckpoint{}, false, nil
	}
	h.filled = false
	return h.held, true, nil
}

func (h *history) close() { h.stop() }
