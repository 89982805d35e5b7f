package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// file appends lines to a file that others may move away or cut, as logrotate does.
type file struct {
	path string
	mu   sync.Mutex
	f    *os.File
	id   os.FileInfo
}

func (t *file) deliver(_ context.Context, batch []message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	broken, err := t.open()
	if err != nil {
		return err
	}
	if _, err := t.f.Write(lines(batch, broken)); err != nil {
		t.forget() // and look anew whether the file ends with a whole line
		return err
	}
	return nil
}

// open opens the file, or another one that has taken its place. broken says that it does not end with a whole line.
func (t *file) open() (broken bool, err error) {
	now, err := os.Stat(t.path)
	if err == nil && t.f != nil && os.SameFile(now, t.id) {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if t.f != nil {
		if err := t.f.Sync(); err != nil { // the last of the file that was moved away
			return false, err
		}
		t.forget()
	}
	// A pipe without a reader would block an open that is not for both ways and not non-blocking.
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return false, err
	}
	id, err := f.Stat()
	if err == nil && !id.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", t.path)
	}
	last := []byte{'\n'}
	if err == nil && id.Size() > 0 {
		_, err = f.ReadAt(last, id.Size()-1)
	}
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	t.f, t.id = f, id
	return last[0] != '\n', nil
}

func (t *file) forget() {
	if t.f != nil {
		_ = t.f.Close() // what it holds was synced, or is written again
	}
	t.f, t.id = nil, nil
}

func (t *file) settle() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.f == nil {
		return nil
	}
	return t.f.Sync()
}

func (t *file) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
}
