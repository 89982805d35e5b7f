package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// VerifyFile verifies the log at path, with its closed segments, against its head file. It needs no daemon and changes
// nothing; a log that is being written can be verified too. o.Head, if set, is checked instead of the head file. A
// missing head file is an error, fs.ErrNotExist.
func VerifyFile(path string, o VerifyOptions) (r Report, err error) {
	if o.Head == nil {
		head, err := ReadHead(path) // before the log, which may be growing
		if err != nil {
			return Report{}, err
		}
		o.Head = &head
	}
	for range 3 { // again if retention has removed records meanwhile
		if r, err = verifyOnce(path, o); err != nil {
			return r, err
		}
		if now, err := ReadCut(path); err != nil || r.Cut != nil && r.Cut.Last == now.Last {
			break
		}
	}
	return r, nil
}

func verifyOnce(path string, o VerifyOptions) (Report, error) {
	v, err := newVerifier(o)
	if err != nil {
		return Report{}, err
	}
	parts := &files{path: path, v: v}
	defer parts.close()
	if err := parts.begin(); err != nil {
		return Report{}, err
	}
	return v.judge(&window{more: parts.next})
}

// files opens the files of a log one after the other, also while it is being written.
type files struct {
	path    string
	v       *verifier
	cut     Receipt
	served  string // name of the last closed segment, without what follows the numbers
	queue   []Segment
	ended   bool
	release func() error // closes the file that is read
}

// begin has the verifier begin behind what retention has removed.
func (f *files) begin() error {
	cut, err := ReadCut(f.path)
	switch {
	case err == nil:
		f.cut, f.v.report.Cut = cut.Last, &cut
		return f.v.behind(cut.Last)
	case errors.Is(err, fs.ErrNotExist):
		f.cut = cut.Last
		return nil
	case !errors.Is(err, ErrDamaged):
		return err
	}
	l, err := listBehind(f.path, cut.Last)
	if err != nil || len(l.closed) == 0 {
		return err
	}
	first := l.closed[0].First
	f.v.spots = append(f.v.spots, spot{first, first, Malformed, "what retention has removed before it cannot be read", Place{File: CutPath(f.path)}})
	f.v.start, f.v.next, f.v.known = first-1, first, first == 1
	return nil
}

// next opens the next file: the closed segments, then the one that is being written.
func (f *files) next() (*part, error) {
	f.close()
	for range 10 { // a file of the list may be gone when it is opened, because it was compressed
		if f.ended {
			return nil, nil
		}
		if len(f.queue) == 0 {
			if err := f.list(); err != nil {
				return nil, err
			}
		}
		var p *part
		var err error
		if len(f.queue) > 0 {
			p, err = f.open(f.queue[0])
		} else {
			p, err = f.openActive()
		}
		if errors.Is(err, fs.ErrNotExist) && len(f.queue) > 0 {
			f.queue = nil
			continue
		}
		if p != nil || err != nil {
			return p, err
		}
	}
	return nil, fmt.Errorf("%s: the closed segments change too often to be read", SegmentsPath(f.path))
}

// list queues the closed segments after the last one that was opened.
func (f *files) list() error {
	l, err := listBehind(f.path, f.cut)
	f.queue = slices.DeleteFunc(l.closed, func(s Segment) bool { return segmentName(s.First, s.Last) <= f.served })
	return err
}

// openActive opens the file that is being written, if it is not closed in the same moment.
func (f *files) openActive() (*part, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) && f.served != "" {
		f.ended = true // its records are missing
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := f.list(); err != nil || len(f.queue) > 0 {
		return nil, both(err, file.Close())
	}
	f.ended, f.release = true, file.Close
	f.note(Segment{File: f.path, First: f.cut.Seq + 1, Active: true}, file)
	return &part{file: f.path, lines: newLineReader(file), active: true}, nil
}

// note adds the file to the report.
func (f *files) note(s Segment, file *os.File) {
	if n := len(f.v.report.Segments); n > 0 {
		s.First = f.v.report.Segments[n-1].Last + 1
	}
	if info, err := file.Stat(); err == nil {
		s.Size = info.Size()
	}
	if first, last, err := endsOf(s); err == nil && last.seq > 0 {
		s.First, s.Last, s.From, s.To = first.seq, last.seq, first.time, last.time
	}
	f.v.report.Segments = append(f.v.report.Segments, s)
}

func (f *files) open(s Segment) (*part, error) {
	file, err := os.Open(s.File)
	if err != nil {
		return nil, err
	}
	f.queue = f.queue[1:]
	f.served, f.release = segmentName(s.First, s.Last), file.Close
	if err := s.readEnds(); err != nil {
		f.spot(s, s.First, s.Last, fmt.Sprintf("the segment is not as it was written: %v", err))
	}
	f.v.report.Segments = append(f.v.report.Segments, s)
	if !s.Compressed {
		return &part{file: s.File, lines: newLineReader(file)}, nil
	}
	u, err := newUnpacker(file)
	if err == nil {
		f.release = u.close
		u.bad = func(i int) {
			f.spot(s, u.index.frames[i].first, u.index.lastOf(i), "the compressed bytes of these records are not those that were written")
		}
		return &part{file: s.File, lines: newLineReader(u)}, nil
	}
	if !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return f.withoutIndex(s, file)
}

func (f *files) spot(s Segment, first, last uint64, detail string) {
	if len(f.v.spots) < f.v.max {
		f.v.spots = append(f.v.spots, spot{first, last, Changed, detail, Place{File: s.File}})
	} else {
		f.v.report.Omitted++
	}
}

// withoutIndex reads what there is of a compressed segment up to the first byte that zstd cannot read.
func (f *files) withoutIndex(s Segment, file *os.File) (*part, error) {
	d, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, both(err, file.Close())
	}
	f.release = func() error { d.Close(); return file.Close() }
	return &part{file: s.File, lines: newLineReader(untilError{d})}, nil
}

// untilError ends where r cannot be read.
type untilError struct{ r io.Reader }

func (u untilError) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func (f *files) close() {
	if f.release != nil {
		_ = f.release() // read only
		f.release = nil
	}
}

// behind has the verifier begin behind the record cut, whose hash the first record continues.
func (v *verifier) behind(cut Receipt) (err error) {
	if v.sum, err = cut.sum(); err != nil {
		return err
	}
	v.start, v.next = cut.Seq, cut.Seq+1
	v.report.End = cut
	if v.hasHead && v.head.Seq <= cut.Seq {
		v.old(v.head, cut)
	}
	for seq, sum := range v.receipts {
		if seq > cut.Seq {
			continue
		}
		delete(v.receipts, seq)
		if seq == cut.Seq && sum == v.sum {
			v.report.Receipts++
		} else {
			v.old(Receipt{seq, sum.String()}, cut)
		}
	}
	return nil
}

// old reports a head or a receipt of a record that is not there any more, unless it is the very last of them.
func (v *verifier) old(r, cut Receipt) {
	switch {
	case r.Seq == 0 || r == cut:
	case r.Seq == cut.Seq:
		v.problem(Problem{Seq: r.Seq, Kind: Changed, Detail: "retention has removed it, and the hash that it kept is not the one that the head or a receipt names"})
	default:
		v.problem(Problem{Seq: r.Seq, Kind: Removed, Detail: "the head or a receipt names it, and retention has removed it: whether it was in this log cannot be told from here"})
	}
}
