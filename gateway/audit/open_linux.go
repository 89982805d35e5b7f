package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Recovery tells of a line that was begun and not finished when the last process ended. Nobody had been told
// that its record is durable.
type Recovery struct {
	After Receipt // the record before it, which is the last one now
	Bytes int64   // how much was cut off
	Text  []byte  // the beginning of it, at most MaxText bytes
}

// Open opens the log at path for appending, and makes it, with its head file, if neither is there. It reads only
// the end of the log and the ends of its closed segments; VerifyFile reads all of it. A last line without an end, which
// nobody was told about, is cut off and reported (Options.OnRecovered). Errors: ErrInUse, ErrDamaged (the log ends
// before its head, or differs from it, or has no head, or a closed segment is missing or cut: nothing is changed),
// ErrUnusable.
func Open(path string, o Options) (*Log, error) {
	o = o.withDefaults()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Kind: ErrUnusable, Detail: path, Cause: err}
	}
	f, err := openOrCreate(path)
	if err != nil {
		return nil, err
	}
	l := newLog(&disk{f: f, path: path, fault: o.fault}, o)
	closed, err := l.load()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.shown.Head, l.shown.Size = l.last(), l.size
	l.keeper = newKeeper(path, o, closed)
	go l.run()
	go l.headFile.syncEachSecond(l.done)
	return l, nil
}

// openOrCreate makes a log only where nothing tells of a lost one: where there is no head, or closed segments hold all
// that the head says.
func openOrCreate(path string) (*os.File, error) {
	f, err := openLog(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		if err := nothingMissing(path); err != nil {
			return nil, err
		}
		f, err = openLog(path, true)
	}
	if err != nil {
		return nil, &Error{Kind: ErrUnusable, Detail: "it cannot be opened for writing", Cause: err,
			Advice: "the folder must exist and folder and file must be writable by this user"}
	}
	return f, nil
}

// nothingMissing is nil if a log without the file that was written has lost nothing by that.
func nothingMissing(path string) error {
	parts, err := readLayout(path)
	if err != nil {
		return err
	}
	end, err := parts.closedEnd(path)
	if err != nil {
		return err
	}
	head, err := ReadHead(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && end.seq > 0:
		return headMissing(path)
	case err != nil:
		return ignore(err, fs.ErrNotExist)
	case head.Seq > end.seq:
		return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s is not there and its head says %d: records %d to %d are missing", path, head.Seq, end.seq+1, head.Seq),
			Advice: "put the log back" + rescuedBeside(path) + "; to begin a new one, move the head file away"}
	}
	return nil
}

func headMissing(path string) error {
	return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s holds records and has no head file %s", path, HeadPath(path)), Advice: headAdvice}
}

// rescuedBeside names the copies that a process made of this log when it was deleted under it.
func rescuedBeside(path string) string {
	if found, err := filepath.Glob(path + ".rescued-*"); err == nil && len(found) > 0 {
		return ", which was saved in " + strings.Join(found, ", ")
	}
	return ""
}

// load checks the open file against its head and the closed segments, cuts a torn end, and makes both durable. It
// gives the closed segments.
func (l *Log) load() ([]Segment, error) {
	if err := l.disk.usable(); err != nil {
		return nil, err
	}
	parts, err := l.loadClosed()
	if err != nil {
		return nil, err
	}
	here, err := l.disk.here()
	if err != nil {
		return nil, &Error{Kind: ErrUnusable, Detail: l.disk.path, Cause: err}
	}
	head, err := ReadHead(l.disk.path)
	if errors.Is(err, fs.ErrNotExist) && here.size == 0 && l.base.seq == 0 {
		head, err = Receipt{Hash: hash{}.String()}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = headMissing(l.disk.path)
	}
	if err != nil {
		return nil, err
	}
	t, err := readTail(l.disk.f, here.size, head, l.base)
	if err == nil && head.Seq > 0 && head.Seq < l.base.seq {
		t.headSum, t.hasHead, err = closedSum(l.disk.path, head.Seq)
	}
	if err := checkTail(l.disk.path, t, err, head); err != nil {
		return nil, err
	}
	l.size, l.seq, l.sum = t.size, t.seq, t.sum
	if err := l.settle(t); err != nil {
		return nil, &Error{Kind: ErrUnusable, Detail: l.disk.path + " cannot be made durable", Cause: err}
	}
	if t.tornLen > 0 && l.opts.OnRecovered != nil {
		l.opts.OnRecovered(Recovery{After: l.last(), Bytes: t.tornLen, Text: t.torn})
	}
	if first, _, err := plainEnds(l.disk.f, l.size); err == nil && first.seq > 0 {
		l.setBegan(first.time)
	}
	return parts.closed, nil
}

// loadClosed ends what a crash has left of a rotation, and checks the closed segments.
func (l *Log) loadClosed() (layout, error) {
	path := l.disk.path
	if err := both(l.disk.tidyLinks(""), tidy(path)); err != nil {
		return layout{}, &Error{Kind: ErrUnusable, Detail: "what an earlier process left cannot be removed", Cause: err, Advice: "the folder must be writable by this user"}
	}
	parts, err := readLayout(path)
	if err != nil {
		return parts, err
	}
	if l.base, err = parts.closedEnd(path); err != nil {
		return parts, err
	}
	return parts, nil
}

// closedSum gives the hash of a record in a closed segment. A head that is older than the file that is being written is
// one that a crash of the machine left, or an old copy of it.
func closedSum(path string, seq uint64) (sum hash, ok bool, err error) {
	r, err := OpenReader(path, seq)
	if err != nil {
		return sum, false, fmt.Errorf("its head says %d: %w", seq, err)
	}
	defer func() { _ = r.Close() }() // read only
	line, err := r.Next()
	return line.Hash, err == nil, err
}

// settle cuts what is torn and makes log, head and their names durable. The whole lines after the head may be
// only in the system's memory, left by a process that was killed before its sync.
func (l *Log) settle(t tail) error {
	if t.tornLen > 0 {
		if err := l.disk.cut(t.size); err != nil {
			return err
		}
	}
	if err := l.disk.f.Sync(); err != nil {
		return err
	}
	return l.headFile.replace(l.last()) // and the folder
}

func checkTail(path string, t tail, walk error, head Receipt) error {
	const advice = "run hsmgate audit verify, keep a copy of what is there, and put the log back from a copy; " +
		"to go on with what is there, adopt it (hsmgated audit adopt)"
	switch {
	case walk != nil:
		return &Error{Kind: ErrDamaged, Detail: path, Cause: walk, Advice: advice}
	case t.seq < head.Seq && t.seq+1 == head.Seq:
		return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s ends with record %d and its head says %d: record %d is missing", path, t.seq, head.Seq, head.Seq), Advice: advice}
	case t.seq < head.Seq:
		return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s ends with record %d and its head says %d: records %d to %d are missing", path, t.seq, head.Seq, t.seq+1, head.Seq), Advice: advice}
	case head.Seq > 0 && (!t.hasHead || t.headSum.String() != head.Hash):
		return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: record %d is not the one that the head names", path, head.Seq), Advice: advice}
	}
	return nil
}

// usable checks that the open file can be a log, and locks it.
func (d *disk) usable() error {
	here, err := d.here()
	switch {
	case err != nil:
		return &Error{Kind: ErrUnusable, Detail: d.path, Cause: err}
	case !here.regular():
		return &Error{Kind: ErrUnusable, Detail: d.path + " is not a regular file", Advice: "remove what is there or choose another path"}
	case here.mode&0o022 != 0:
		return &Error{Kind: ErrUnusable, Detail: fmt.Sprintf("%s can be written by others (mode %04o)", d.path, here.mode&0o777), Advice: "find out who wrote to it, then chmod 600 it"}
	}
	if err := lock(d.f); errors.Is(err, syscall.EWOULDBLOCK) {
		return &Error{Kind: ErrInUse, Detail: "another process writes " + d.path, Advice: "stop it first; one log has one writer"}
	} else if err != nil {
		return &Error{Kind: ErrUnusable, Detail: d.path + " cannot be locked", Cause: err, Advice: "put the log on a local file system"}
	}
	if there, err := d.there(); err != nil || !there.same(here) { // it was closed as a segment before it was locked
		return &Error{Kind: ErrInUse, Detail: "another process writes " + d.path, Cause: err, Advice: "stop it first; one log has one writer"}
	}
	return nil
}
