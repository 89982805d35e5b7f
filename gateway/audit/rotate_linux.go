package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func (l *Log) rotateIfDue() {
	if l.due() {
		l.rotate()
	}
}

// due says that the file that is being written is to be closed.
func (l *Log) due() bool {
	if l.seq == l.base.seq || l.broken != nil || time.Now().Before(l.nextTurn) {
		return false
	}
	return l.opts.SegmentSize > 0 && l.size >= l.opts.SegmentSize || l.opts.SegmentAge > 0 && time.Since(l.began) >= l.opts.SegmentAge
}

// setBegan notes when the first record of the file was made, from which its age counts.
func (l *Log) setBegan(t time.Time) {
	if now := time.Now(); t.After(now) {
		t = now
	}
	l.began = t
	if l.opts.SegmentAge > 0 {
		l.age.Reset(max(l.opts.SegmentAge-time.Since(t), 0))
	}
}

// rotate closes the file and begins a new one. Callers wait for it as for a batch.
func (l *Log) rotate() {
	l.batch, l.places = l.batch[:0], l.places[:0]
	l.begin()
	err := l.ready()
	if err == nil {
		if err = l.turn(); err != nil {
			l.nextTurn = time.Now().Add(l.opts.Check) // the log goes on in its file until then
			l.age.Reset(l.opts.Check)
		}
		l.keeper.told(keepRotation, err)
	}
	l.end(l.broken)
}

// turn gives the file its name among the closed segments and puts a new one in its place. Until the last step the log
// is as it was; an error leaves it so.
func (l *Log) turn() error {
	segment := Segment{First: l.base.seq + 1, Last: l.seq, Size: l.size, prev: l.base.sum, sum: l.sum}
	dir := SegmentsPath(l.disk.path)
	segment.File = filepath.Join(dir, segmentName(segment.First, segment.Last)+plainSuffix)
	// A crash leaves an empty file, which the next rotation empties again.
	next, err := l.disk.begin(dir)
	if err != nil {
		if next != nil {
			err = both(err, l.unturn(next))
		}
		return err
	}
	// A crash leaves the log with a second name. Nobody reads it under that one, and Open takes it off.
	if err := l.disk.link(segment.File); err != nil {
		return both(err, l.unturn(next))
	}
	// The second name is durable before the first one goes. A crash after that leaves the old file or the new one at the
	// log's path; with the new one, Open goes on behind the segment.
	renamed := l.disk.rename(next)
	l.turning, l.next = segment, next
	if err := l.settleTurn(); err != nil { // whether it was renamed cannot be told: nothing may be written
		l.breaks(err)
		return err
	}
	if l.disk == next {
		return nil
	}
	return renamed
}

// settleTurn goes on in the file that stands at the log's path, the new or the old one.
func (l *Log) settleTurn() error {
	there, err := l.disk.there()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.refusal("whether a new file stands at its path cannot be told", err, diskAdvice)
	}
	mine, statErr := l.next.here()
	if statErr != nil {
		return l.refusal("the new file cannot be examined", statErr, diskAdvice)
	}
	next := l.next
	l.next = nil
	if err != nil || !there.same(mine) {
		return l.unturn(next)
	}
	old := l.disk.f
	l.disk, l.base = next, walker{seq: l.seq, sum: l.sum}
	l.size, l.dirty, l.hurt, l.rescued = 0, false, false, ""
	_ = old.Close() // every record of it is durable; this gives its lock free
	l.keeper.closed(l.turning)
	// Before a record is written, the names have to be durable. A head that is written anew makes them so.
	l.headLost = l.disk.syncFolder() != nil
	return nil
}

// unturn takes back what a rotation has begun. If a name stays it does no harm: see withoutActive.
func (l *Log) unturn(next *disk) error {
	return both(l.disk.tidyLinks(""), both(next.f.Close(), ignore(os.Remove(next.f.Name()), fs.ErrNotExist)))
}

const (
	nextSuffix = ".next"

	stepBegin  step = "begin"  // the next file is made
	stepLink   step = "link"   // the log gets its name among the closed segments
	stepNames  step = "names"  // that is made durable
	stepRename step = "rename" // the next file takes the log's place
	stepFolder step = "folder" // that is made durable
)

// begin makes an empty file that may take the log's place, and locks it.
func (d *disk) begin(dir string) (next *disk, err error) {
	err = d.do(stepBegin, 0, func(int) error {
		if err := makeDir(dir); err != nil {
			return err
		}
		f, err := os.OpenFile(d.path+nextSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		next = &disk{f: f, path: d.path, fault: d.fault}
		return both(lock(f), f.Sync())
	})
	return next, err
}

// link gives the open file the name, which is another one of its own at most, and makes that durable.
func (d *disk) link(name string) error {
	here, err := d.here()
	if err != nil {
		return err
	}
	if err := d.tidyLinks(name); err != nil {
		return err
	}
	made := false
	err = d.do(stepLink, 0, func(int) error {
		err := os.Link(d.path, name)
		made = err == nil
		return ignore(err, fs.ErrExist)
	})
	if err != nil {
		return err
	}
	if there, err := (&disk{path: name}).there(); err != nil || !there.same(here) {
		if made {
			err = both(err, os.Remove(name)) // the name that was just given to what is not the log
		}
		return both(fmt.Errorf("another file than the log stands at %s", name), err)
	}
	return d.do(stepNames, 0, func(int) error { return syncDir(filepath.Dir(name)) })
}

func (d *disk) rename(next *disk) error {
	return d.do(stepRename, 0, func(int) error { return os.Rename(next.f.Name(), d.path) })
}

func (d *disk) syncFolder() error {
	return d.do(stepFolder, 0, func(int) error { return syncDir(filepath.Dir(d.path)) })
}

// tidyLinks takes off other names of the open file than its path and keep, which rotations have left that did not end.
// It leaves them if the file is not at its path: they may be all that holds it.
func (d *disk) tidyLinks(keep string) error {
	here, err := d.here()
	if err != nil || here.links < 2 {
		return err
	}
	if there, err := d.there(); err != nil || !there.same(here) {
		return ignore(err, fs.ErrNotExist)
	}
	entries, err := os.ReadDir(SegmentsPath(d.path))
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	for _, e := range entries {
		name := filepath.Join(SegmentsPath(d.path), e.Name())
		if there, err := (&disk{path: name}).there(); err == nil && there.same(here) && name != keep {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDir makes the folder of the closed segments, durably.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return both(err, os.Remove(dir)) // so that the next attempt makes it durable
	}
	return nil
}
