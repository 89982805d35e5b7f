package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Closed segments lie in a folder beside the log, named by their first and last record: FIRST-LAST.log, or
// FIRST-LAST.log.zst when it is compressed (pack.go).
const (
	segmentsSuffix = ".d"
	plainSuffix    = ".log"
	packedSuffix   = ".log.zst"
	seqDigits      = 20
)

// SegmentsPath gives the folder with the closed segments of the log at path.
func SegmentsPath(path string) string { return path + segmentsSuffix }

// Segment is one file of the log.
type Segment struct {
	File       string    `json:"file"`
	First      uint64    `json:"first"`
	Last       uint64    `json:"last"` // 0 for the file that is being written, if it holds no record
	Size       int64     `json:"size"` // of the file
	Compressed bool      `json:"compressed,omitempty"`
	Active     bool      `json:"active,omitempty"` // it is being written
	From       time.Time `json:"from"`             // time of the first and the last record
	To         time.Time `json:"to"`

	prev, sum hash // what the first record calls prev, and the hash of the last one
	info      os.FileInfo
}

func segmentName(first, last uint64) string {
	return fmt.Sprintf("%0*d-%0*d", seqDigits, first, seqDigits, last)
}

// parseSegmentName reads the name of a file in the folder of segments.
func parseSegmentName(name string) (Segment, bool) {
	stem, packed := strings.CutSuffix(name, packedSuffix)
	if !packed {
		var plain bool
		if stem, plain = strings.CutSuffix(name, plainSuffix); !plain {
			return Segment{}, false
		}
	}
	from, to, ok := strings.Cut(stem, "-")
	first, err1 := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	if !ok || err1 != nil || err2 != nil || first == 0 || last < first || segmentName(first, last) != stem {
		return Segment{}, false
	}
	return Segment{First: first, Last: last, Compressed: packed}, true
}

// layout is what a log consists of beside the file that is being written.
type layout struct {
	cut    Receipt   // the last record that retention has removed
	closed []Segment // in the order of their records
}

// last is the number of the last record in a closed segment, or removed by retention.
func (l layout) last() uint64 {
	if n := len(l.closed); n > 0 {
		return l.closed[n-1].Last
	}
	return l.cut.Seq
}

// missing gives the first run of records that no closed segment holds, or says that there is none.
func (l layout) missing() (first, last uint64, some bool) {
	next := l.cut.Seq + 1
	for _, s := range l.closed {
		if s.First != next {
			return min(next, s.First), max(next, s.First) - 1, true
		}
		next = s.Last + 1
	}
	return 0, 0, false
}

// holding gives the closed segment that holds the record seq.
func (l layout) holding(seq uint64) (Segment, bool) {
	i := slices.IndexFunc(l.closed, func(s Segment) bool { return s.First <= seq && seq <= s.Last })
	if i < 0 {
		return Segment{}, false
	}
	return l.closed[i], true
}

// readLayout lists the closed segments. It reads the folder again if some are missing, because a name can slip through
// while another takes its place.
func readLayout(path string) (l layout, err error) {
	for range 3 {
		l, err = listOnce(path)
		if err != nil {
			return l, err
		}
		if _, _, some := l.missing(); !some {
			return l, nil
		}
	}
	return l, nil
}

func listOnce(path string) (layout, error) {
	cut, err := ReadCut(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return layout{}, err
	}
	return listBehind(path, cut.Last)
}

// listBehind lists the closed segments that hold more than what retention has removed.
func listBehind(path string, cut Receipt) (layout, error) {
	l := layout{cut: cut}
	dir := SegmentsPath(path)
	entries, err := os.ReadDir(dir) // sorted by name, which is the order of the records
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		s, ok := parseSegmentName(e.Name())
		if !ok || s.Last <= l.cut.Seq {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it was compressed or removed meanwhile
			continue
		}
		if err != nil {
			return l, err
		}
		s.File, s.Size, s.info = filepath.Join(dir, e.Name()), info.Size(), info
		if n := len(l.closed); n > 0 && l.closed[n-1].First == s.First && l.closed[n-1].Last == s.Last {
			continue // both forms are there: the original counts until it goes
		}
		l.closed = append(l.closed, s)
	}
	return l.withoutActive(path), nil
}

// withoutActive leaves out names that the active file has besides its own, because it is about to be closed or because
// that was not finished. It looks at the active file after the folder: what is not active any more is closed.
func (l layout) withoutActive(path string) layout {
	active, err := os.Stat(path)
	if err == nil {
		l.closed = slices.DeleteFunc(l.closed, func(s Segment) bool { return os.SameFile(s.info, active) })
	}
	return l
}
