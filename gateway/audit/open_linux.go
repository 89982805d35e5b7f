package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Options of a log. The zero value is ready for use.
type Options struct {
	// Queue is how many records may wait for the disk; Append waits for a place within its context. Default 4096.
	Queue int
	// Timeout is how long the disk may take for one batch before every waiting Append is refused, so that a
	// blocked disk holds no caller even if its context has no deadline. Default 5 s.
	Timeout time.Duration
	// Retry is the shortest time between two attempts to mend a broken log; Appends between them are refused at
	// once. Default 250 ms.
	Retry time.Duration
	// Gather is how long after the beginning of one batch the next one begins, if there are many callers at a time:
	// fewer syncs, each for more records. A disk that takes as long anyway, or fewer than 12 callers, are never
	// kept waiting, unless callers queue up elsewhere (GatherWhile). Default 2 ms; negative turns it off.
	Gather time.Duration
	// OnRecovered, if set, is called by Open when it has cut off the beginning of a line at the end of the log.
	OnRecovered func(Recovery)
	// OnState, if set, is called when the log begins to refuse, or for another reason than before (with the reason),
	// and when it is mended (with nil). Writing waits for it, and it must not call the log's methods.
	OnState func(error)

	fault func(step) failure // tests make a step fail
}

// Recovery tells of a line that was begun and not finished when the last process ended. Nobody had been told
// that its record is durable.
type Recovery struct {
	After Receipt // the record before it, which is the last one now
	Bytes int64   // how much was cut off
	Text  []byte  // the beginning of it, at most MaxText bytes
}

// Open opens the log at path for appending, and makes it, with its head file, if neither is there. It reads only
// the end of the log; VerifyFile reads all of it. A last line without an end, which nobody was told about, is cut
// off and reported (Options.OnRecovered). Errors: ErrInUse, ErrDamaged (the log ends before its head, or
// differs from it, or has no head: nothing is changed), ErrUnusable.
func Open(path string, o Options) (*Log, error) {
	o.Queue = defaultTo(o.Queue, 4096)
	o.Timeout = defaultTo(o.Timeout, 5*time.Second)
	o.Retry = defaultTo(o.Retry, 250*time.Millisecond)
	if o.Gather == 0 {
		o.Gather = 2 * time.Millisecond
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Kind: ErrUnusable, Detail: path, Cause: err}
	}
	f, err := openOrCreate(path)
	if err != nil {
		return nil, err
	}
	l := newLog(&disk{f: f, path: path, fault: o.fault}, o)
	if err := l.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.shown.Head, l.shown.Size = l.last(), l.size
	go l.run()
	go l.headFile.syncEachSecond(l.done)
	return l, nil
}

// openOrCreate makes a log only where there is no head that tells of a lost one.
func openOrCreate(path string) (*os.File, error) {
	f, err := openLog(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		head, headErr := ReadHead(path)
		if headErr == nil && head.Seq > 0 {
			return nil, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s is not there and its head says %d: records 1 to %d are missing", path, head.Seq, head.Seq),
				Advice: "put the log back" + rescuedBeside(path) + "; to begin a new one, move the head file away"}
		}
		if headErr != nil && !errors.Is(headErr, fs.ErrNotExist) {
			return nil, headErr
		}
		f, err = openLog(path, true)
	}
	if err != nil {
		return nil, &Error{Kind: ErrUnusable, Detail: "it cannot be opened for writing", Cause: err,
			Advice: "the folder must exist and folder and file must be writable by this user"}
	}
	return f, nil
}

// rescuedBeside names the copies that a process made of this log when it was deleted under it.
func rescuedBeside(path string) string {
	if found, err := filepath.Glob(path + ".rescued-*"); err == nil && len(found) > 0 {
		return ", which was saved in " + strings.Join(found, ", ")
	}
	return ""
}

func defaultTo[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// load checks the open file against its head, cuts a torn end, and makes both durable.
func (l *Log) load() error {
	if err := l.disk.usable(); err != nil {
		return err
	}
	here, err := l.disk.here()
	if err != nil {
		return &Error{Kind: ErrUnusable, Detail: l.disk.path, Cause: err}
	}
	head, err := ReadHead(l.disk.path)
	if errors.Is(err, fs.ErrNotExist) && here.size == 0 {
		head, err = Receipt{Hash: hash{}.String()}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s holds records and has no head file %s", l.disk.path, HeadPath(l.disk.path)), Advice: headAdvice}
	}
	if err != nil {
		return err
	}
	t, err := readTail(l.disk.f, here.size, head)
	if err := checkTail(l.disk.path, t, err, head); err != nil {
		return err
	}
	l.size, l.seq, l.sum = t.size, t.seq, t.sum
	if err := l.settle(t); err != nil {
		return &Error{Kind: ErrUnusable, Detail: l.disk.path + " cannot be made durable", Cause: err}
	}
	if t.tornLen > 0 && l.opts.OnRecovered != nil {
		l.opts.OnRecovered(Recovery{After: l.last(), Bytes: t.tornLen, Text: t.torn})
	}
	return nil
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
	return nil
}
