package query

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// log gives the records of a log by their numbers.
type log struct {
	path       string
	first, end uint64 // the records that there are; 0 and 0 for none
	headless   bool   // it has no head, so that what is missing at its end cannot be seen
	r          *audit.Reader
	next       uint64 // that r gives
}

// openLog finds which records there are. The last one is that of the head, and is compared with it.
func openLog(path string) (*log, error) {
	l := &log{path: path}
	head, err := audit.ReadHead(path) // before the log, which may be growing
	l.headless = errors.Is(err, fs.ErrNotExist)
	if err != nil && !l.headless {
		return nil, err
	}
	if err := l.begin(0); err != nil {
		return nil, err
	}
	first, err := l.r.Next()
	if errors.Is(err, io.EOF) && head.Seq == 0 {
		return l, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, l.close())
	}
	l.first, l.end, l.next = first.Seq, head.Seq, first.Seq+1
	if l.headless {
		l.end, err = l.lastOf(first.Seq)
	} else {
		err = l.compare(head)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// compare holds the log against its head.
func (l *log) compare(head audit.Receipt) error {
	last, err := l.line(head.Seq)
	switch {
	case errors.Is(err, io.EOF):
		return l.damaged("it ends before record %d, which its head names", head.Seq)
	case err == nil && hex.EncodeToString(last.Hash[:]) != head.Hash:
		return l.damaged("its record %d is not the one that its head names", head.Seq)
	}
	return err
}

// lastOf finds the last record: one that is there, doubled until none is, and halved again.
func (l *log) lastOf(there uint64) (uint64, error) {
	step := uint64(1)
	for growing := true; step > 0; {
		_, err := l.line(there + step)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if growing = growing && err == nil; err == nil {
			there += step
		}
		if growing {
			step *= 2
		} else {
			step /= 2
		}
	}
	return there, nil
}

// again is the same log for another one who reads at the same time.
func (l *log) again() log { return log{path: l.path, first: l.first, end: l.end, headless: l.headless} }

// near is how many records are rather read than a new place sought, which takes about as long.
const near = 1024

// line gives a record; its Text is good until the next call. The error is io.EOF behind the last one.
func (l *log) line(seq uint64) (audit.Line, error) {
	if l.r == nil || seq < l.next || seq-l.next > near {
		if err := l.begin(seq); err != nil {
			return audit.Line{}, err
		}
	}
	for {
		line, err := l.r.Next()
		if err != nil {
			return line, err
		}
		if l.next = line.Seq + 1; line.Seq >= seq {
			return line, nil
		}
	}
}

func (l *log) begin(seq uint64) error {
	l.next = seq
	if l.r != nil {
		err := l.r.Move(seq)
		if err != nil {
			err = errors.Join(err, l.close())
		}
		return err
	}
	r, err := audit.OpenReader(l.path, seq)
	if err == nil {
		l.r = r
	}
	return err
}

func (l *log) close() error {
	if l.r == nil {
		return nil
	}
	r := l.r
	l.r = nil
	return r.Close()
}

func (l *log) damaged(format string, args ...any) error {
	return &audit.Error{Kind: audit.ErrDamaged, Detail: l.path + ": " + fmt.Sprintf(format, args...), Advice: "run hsmgate audit verify"}
}

// block gathers records from the first to the last.
func (l *log) block(first, last uint64) (*builder, error) {
	b, r := newBuilder(last-first+1), row{}
	for seq := first; seq <= last; seq++ {
		line, err := l.line(seq)
		if errors.Is(err, io.EOF) {
			err = l.damaged("it ends before record %d", seq)
		}
		if err != nil {
			return nil, err
		}
		if err := l.rowOf(line, &r); err != nil {
			return nil, err
		}
		b.add(line, &r)
	}
	return b, nil
}

func (l *log) record(line audit.Line) (audit.Record, error) {
	r, err := line.Record()
	if err != nil {
		err = l.damaged("record %d cannot be read: %v", line.Seq, err)
	}
	return r, err
}
