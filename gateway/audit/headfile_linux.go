package audit

import (
	"errors"
	"os"
	"sync"
	"time"
)

// headFile is the open head file of a log that is being written.
type headFile struct {
	disk *disk

	mu    sync.Mutex
	f     *os.File
	id    os.FileInfo
	slot  int64 // the one to write next
	dirty bool  // written since the last sync
	err   error // of the last sync: the next batch makes the file anew
	buf   []byte
}

// replace puts a new head file in place and opens it.
func (h *headFile) replace(r Receipt) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := replaceHead(h.disk.path, r); err != nil {
		return err
	}
	f, err := os.OpenFile(HeadPath(h.disk.path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	id, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if h.f != nil {
		_ = h.f.Close() // nothing was written to it that is not in the new one
	}
	h.f, h.id, h.slot, h.dirty, h.err = f, id, 0, false, nil
	return nil
}

// write puts r into the next slot. It is not durable yet: a head that is a second old still shows that
// records were cut off, and the log's own durability does not depend on it.
func (h *headFile) write(r Receipt) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	h.buf = appendSlot(h.buf[:0], r)
	err := h.disk.do(stepHead, len(h.buf), func(n int) error {
		_, err := h.f.WriteAt(h.buf[:n], h.slot*slotSize)
		return err
	})
	if err != nil {
		return err
	}
	h.slot, h.dirty = 1-h.slot, true
	return nil
}

// sync makes the head durable, and sees whether it is still the one at its path. The file is synced outside the lock, so that the writer does not wait for it.
func (h *headFile) sync() error {
	h.mu.Lock()
	f, id, dirty := h.f, h.id, h.dirty
	h.dirty = false
	h.mu.Unlock()
	if !dirty {
		return nil
	}
	err := f.Sync()
	now, statErr := os.Stat(HeadPath(h.disk.path))
	if err = both(err, statErr); err == nil && !os.SameFile(now, id) {
		err = errors.New(HeadPath(h.disk.path) + " was replaced")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && h.f == f {
		h.err, h.dirty = err, true // the next batch mends it
	}
	return err
}

func (h *headFile) syncEachSecond(done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = h.sync() // kept in h.err
		case <-done:
			return
		}
	}
}

func (h *headFile) close() error {
	err := h.sync()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f == nil {
		return err
	}
	return errors.Join(err, h.f.Close())
}
