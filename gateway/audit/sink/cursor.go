package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// A cursor is the file LOG.sinks/NAME: the receipt of the last record that the sink has delivered, on one line. It is
// replaced as a whole after the delivery, so a record may be delivered again after a crash, and none is passed over.

type cursor struct {
	path   string
	settle func() error // makes what was delivered outlast a crash, before the file says that it was

	mu    sync.Mutex
	done  audit.Receipt
	saved audit.Receipt
}

func (c *cursor) get() audit.Receipt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *cursor) move(to audit.Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = to
}

// keep writes the file once a second, if there is news, and at the end: an fsync for each delivery would take the disk's
// time from the log.
func (c *cursor) keep(stop <-chan struct{}, log *zap.Logger) {
	tick := time.NewTicker(cursorPause)
	defer tick.Stop()
	failing := false
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-stop:
			ended = true
		}
		err := c.save()
		if err != nil && !failing {
			log.Warn("the cursor cannot be kept: after a restart, records would be sent again", zap.Error(err))
		}
		failing = err != nil
	}
}

func (c *cursor) save() error {
	done := c.get()
	if done == c.saved {
		return nil
	}
	if err := c.settle(); err != nil {
		return err
	}
	if err := writeCursor(c.path, done); err != nil {
		return err
	}
	c.saved = done
	return nil
}

func cursorPath(log, name string) string { return filepath.Join(log+".sinks", name) }

// readCursor gives fs.ErrNotExist for a new sink.
func readCursor(path string) (audit.Receipt, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return audit.Receipt{}, err
	}
	r, err := audit.ParseReceipt(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return r, fmt.Errorf("%s: %w; remove it to begin anew, as `begin` says", path, err)
	}
	return r, nil
}

// writeCursor replaces the file, durably.
func writeCursor(path string, r audit.Receipt) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(r.String() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// begin says after which record a sink goes on, and what a person has to be told about it.
func begin(log *audit.Log, path string, c Config) (after audit.Receipt, note string, err error) {
	file, head := cursorPath(path, c.Name), log.Head()
	after, err = readCursor(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if after = (audit.Receipt{Hash: strings.Repeat("0", 64)}); c.Begin != "first" {
			after = head
		}
		return after, "", writeCursor(file, after)
	case err != nil || after.Seq == 0:
		return after, "", err
	}
	same, err := holds(path, head, after)
	if err != nil || same {
		return after, "", err
	}
	note = fmt.Sprintf("the log does not hold record %s, the last that was delivered: it is another log, or was cut; all of its records are sent", after)
	return audit.Receipt{Hash: strings.Repeat("0", 64)}, note, nil
}

// holds says whether the log holds the record of a receipt. A record that was removed since, after its time, is one
// that it has held.
func holds(path string, head, r audit.Receipt) (bool, error) {
	if r.Seq > head.Seq {
		return false, nil
	}
	first, err := firstRecord(path)
	if err != nil || r.Seq < first {
		return err == nil, err
	}
	reader, err := audit.OpenReader(path, r.Seq)
	if err != nil {
		return false, err
	}
	defer func() { _ = reader.Close() }() // read only
	line, err := reader.Next()
	return err == nil && fmt.Sprintf("%x", line.Hash) == r.Hash, err
}

// firstRecord is the number of the first record that is still in the log.
func firstRecord(path string) (uint64, error) {
	reader, err := audit.OpenReader(path, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = reader.Close() }() // read only
	line, err := reader.Next()
	return line.Seq, err
}
