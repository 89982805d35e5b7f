package audit

import (
	"fmt"
	"path/filepath"
	"time"
)

// Kind says what is wrong with a record.
type Kind string

// The kinds of problem that Verify tells apart.
const (
	Changed    Kind = "changed"    // its line is not the one that the next record, the head or a receipt names
	Malformed  Kind = "malformed"  // its line is not a record
	Dropped    Kind = "dropped"    // it is not in the log, and later ones are
	Truncated  Kind = "truncated"  // the log ends before it, and the head or a receipt names it or a later one
	Swapped    Kind = "swapped"    // it has changed places with another (LastSeq)
	Moved      Kind = "moved"      // it stands at another place
	Duplicated Kind = "duplicated" // its number is there a second time
	Inserted   Kind = "inserted"   // a line stands before it that is not part of the chain
	Removed    Kind = "removed"    // a receipt names it and retention has removed it: whether it was the log's cannot be told
	Torn       Kind = "torn"       // the file's last line has no end: a process died while it wrote it, before anybody was told
)

// Problem is one finding.
type Problem struct {
	Seq     uint64 `json:"seq"`               // the record's number
	LastSeq uint64 `json:"lastSeq,omitempty"` // where the finding is about several: the last; where two are swapped: the other
	Kind    Kind   `json:"kind"`
	Detail  string `json:"detail"`
	Place
}

// Place is a line of the log.
type Place struct {
	File string `json:"file,omitempty"`
	Line int64  `json:"line"` // of the file, from 1; where a record is missing, the line before which it should stand
}

func (p Place) String() string {
	name := filepath.Base(p.File)
	if _, closed := parseSegmentName(name); !closed && name != cutName { // the log itself, which was asked for
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("%s, line %d", name, p.Line)
}

func (p Problem) String() string {
	return fmt.Sprintf("record %d (%s): %s: %s", p.Seq, p.Place, p.Kind, p.Detail)
}

// Report is what Verify found.
type Report struct {
	Lines    int64     `json:"lines"`   // of all files
	Records  uint64    `json:"records"` // that stand in their place
	First    time.Time `json:"first"`   // time of the first and the last of them
	Last     time.Time `json:"last"`
	End      Receipt   `json:"end"`                // the last record; keep it elsewhere, as a head for the next Verify
	Head     *Receipt  `json:"head,omitempty"`     // what the log was checked against
	Receipts int       `json:"receipts"`           // given receipts that were found, unchanged
	Problems []Problem `json:"problems"`           // in the order of the numbers
	Omitted  int       `json:"omitted"`            // problems beyond VerifyOptions.MaxProblems
	Segments []Segment `json:"segments,omitempty"` // the files, the one that is being written last; not of Verify
	Cut      *Cut      `json:"cut,omitempty"`      // what retention has removed; the log is whole from there on
}

// Intact says that the log is whole. The beginning of a line that was never finished does not count against it.
func (r Report) Intact() bool {
	for _, p := range r.Problems {
		if p.Kind != Torn {
			return false
		}
	}
	return r.Omitted == 0
}
