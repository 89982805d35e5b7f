package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const diskAdvice = "free or repair the log's disk; writing goes on by itself then"

// ready is nil if a batch may be written now: the file is where and as the writer left it. A broken log is
// mended first, if it is time for an attempt and it can be.
func (l *Log) ready() error {
	if l.broken == nil && !l.headLost && l.keeper.lost.Load() == nil {
		err := l.inPlace(l.size)
		if err != nil {
			l.breaks(err)
		}
		return l.broken
	}
	if l.broken != nil && time.Now().Before(l.nextTry) {
		return l.broken
	}
	begun := time.Now()
	if err := l.mend(); err != nil {
		l.breaks(err)
		// An attempt that reads a long log must not become all that the writer does.
		l.nextTry = time.Now().Add(max(l.opts.Retry, 4*time.Since(begun)))
		return l.broken
	}
	if l.broken != nil {
		l.broken, l.rescued = nil, ""
		l.mu.Lock()
		l.shown.Repairs++
		l.mu.Unlock()
		if l.opts.OnState != nil {
			l.opts.OnState(nil)
		}
	}
	return nil
}

// breaks makes err the reason why nothing is written.
func (l *Log) breaks(err error) {
	news := l.broken == nil || l.broken.Error() != err.Error()
	l.broken = err
	l.nextTry = time.Now().Add(l.opts.Retry)
	if news && l.opts.OnState != nil {
		l.opts.OnState(err)
	}
}

// fail breaks the log after a step of a batch has failed, and cuts off what the batch may have left. If that
// fails too, mend tries it again; until then everything is refused.
func (l *Log) fail(what string, cause error) error {
	l.places = l.places[:0]
	var known *Error
	if !errors.As(cause, &known) {
		cause = l.refusal(what, cause, diskAdvice)
	}
	l.breaks(both(cause, l.cutBack()))
	return l.broken
}

func (l *Log) refusal(what string, cause error, advice string) error {
	return &Error{Kind: ErrNotDurable, Detail: l.disk.path + ": " + what, Cause: cause, Advice: advice}
}

// inPlace is nil if the open file stands at its path and is size bytes long.
func (l *Log) inPlace(size int64) error {
	here, err := l.disk.here()
	if err != nil {
		return l.refusal("it cannot be examined", err, diskAdvice)
	}
	there, err := l.disk.there()
	switch {
	case errors.Is(err, fs.ErrNotExist) && here.links == 0, err == nil && !there.same(here) && here.links == 0:
		return l.deleted()
	case errors.Is(err, fs.ErrNotExist):
		return l.refusal("it was moved away", nil, "move it back; it is not to be rotated")
	case err != nil:
		return l.refusal("it cannot be examined", err, "make the path reachable again")
	case !there.same(here):
		return l.refusal("another file stands at its path", nil, "put the log itself back; it is not to be rotated")
	case here.size < size:
		l.hurt = true
		return l.refusal(fmt.Sprintf("someone cut it to %d bytes; %d bytes, up to record %d, were durable", here.size, l.size, l.seq), nil,
			"put a copy of it back that is whole up to that record")
	case here.size > size:
		l.hurt = true
		return l.refusal(fmt.Sprintf("someone added %d bytes to it", here.size-size), nil,
			fmt.Sprintf("find out who; then cut it to its %d bytes", l.size))
	}
	return nil
}

// deleted saves the content of a file without a name, which would be gone with this process.
func (l *Log) deleted() error {
	if l.rescued == "" {
		name := fmt.Sprintf("%s.rescued-%d", l.disk.path, l.seq)
		if err := l.rescue(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return l.refusal("it was deleted", err, fmt.Sprintf("before this process ends, save its records: cp /proc/%d/fd/%d to its path", os.Getpid(), l.disk.f.Fd()))
		}
		l.rescued = name
	}
	return l.refusal("it was deleted", nil, "its records are safe in "+l.rescued+": move that file to its path")
}

func (l *Log) rescue(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.NewSectionReader(l.disk.f, 0, l.size))
	if err == nil {
		err = f.Sync()
	}
	if err = both(err, f.Close()); err != nil {
		return both(err, os.Remove(name)) // half a copy would be taken for a whole one
	}
	return syncDir(filepath.Dir(name))
}

// mend brings the file back to the last durable record, or says why it cannot.
func (l *Log) mend() error {
	if l.keeper.lost.Load() != nil {
		if err := l.keeper.check(); err != nil {
			return err
		}
	}
	if l.next != nil {
		if err := l.settleTurn(); err != nil {
			return err
		}
	}
	here, err := l.disk.here()
	if err != nil {
		return l.refusal("it cannot be examined", err, diskAdvice)
	}
	if there, err := l.disk.there(); err == nil && !there.same(here) && there.size == l.size {
		if err := l.takeOver(); err != nil {
			return err
		}
	}
	if err := l.cutBack(); err != nil {
		return err
	}
	if err := l.inPlace(l.size); err != nil {
		return err
	}
	if l.hurt {
		if err := l.wholeIn(l.disk.f); err != nil {
			return err
		}
		l.hurt = false
	}
	if err := l.headFile.replace(l.last()); err != nil {
		return l.refusal("its head file cannot be written", err, diskAdvice)
	}
	l.headLost = false
	return nil
}

// takeOver goes on in another file at the log's path, if it holds every record, unchanged.
func (l *Log) takeOver() error {
	f, err := openLog(l.disk.path, false)
	if err != nil {
		return l.refusal("another file stands at its path", err, "put the log itself back")
	}
	d := &disk{f: f, path: l.disk.path, fault: l.disk.fault}
	if err = d.usable(); err == nil {
		err = l.wholeIn(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Close() // it was only read
		return l.refusal("another file stands at its path", err, "put the log itself back")
	}
	old := l.disk.f
	l.disk, l.dirty, l.hurt = d, false, false
	_ = old.Close() // its records are all in the new one
	return nil
}

// wholeIn is nil if f begins with every durable record, unchanged: the chain through it ends at the last hash.
func (l *Log) wholeIn(f *os.File) error {
	w := l.base
	err := w.walk(io.NewSectionReader(f, 0, l.size))
	if err == nil && (w.seq != l.seq || w.sum != l.sum) {
		err = fmt.Errorf("it ends with record %s and should end with %s", Receipt{w.seq, w.sum.String()}, l.last())
	}
	if err != nil {
		return l.refusal("its content is not the log's", err, "put a copy of the log back that is whole up to record "+fmt.Sprint(l.seq))
	}
	return nil
}

// cutBack takes off what a refused batch has left, and proves that the disk still takes and keeps what it is
// given. After a failed sync the system may believe that blocks are on the disk that are not, the block with
// the end of the last durable record among them, so the last line is written again before the sync.
func (l *Log) cutBack() error {
	if !l.dirty {
		return nil
	}
	here, err := l.disk.here()
	if err == nil && here.size < l.size {
		return l.inPlace(l.size)
	}
	if err == nil && here.size > l.size {
		err = l.disk.cut(l.size)
	}
	if err == nil {
		err = l.rewriteLast()
	}
	if err == nil {
		err = l.disk.sync()
	}
	if err != nil {
		return l.refusal("a refused batch cannot be taken off it", err, diskAdvice)
	}
	l.dirty = false
	return nil
}

func (l *Log) rewriteLast() error {
	if l.size == 0 {
		return nil
	}
	b := make([]byte, min(l.size, maxLine))
	if _, err := l.disk.f.ReadAt(b, l.size-int64(len(b))); err != nil {
		return err
	}
	b = b[bytes.LastIndexByte(b[:len(b)-1], '\n')+1:]
	if hashOf(b[:len(b)-1]) != l.sum {
		l.hurt = true
		return fmt.Errorf("record %d was changed on the disk", l.seq)
	}
	return l.disk.write(b, l.size-int64(len(b)))
}
