package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// maxLine is more than the longest line that the log writes: every text of MaxText bytes, each byte escaped.
const maxLine = 512 << 10

// hash is the SHA-256 of a line without its newline.
type hash [sha256.Size]byte

func hashOf(line []byte) hash { return sha256.Sum256(line) }

func (h hash) String() string { return hex.EncodeToString(h[:]) }

const (
	seqStart  = `{"seq":`
	prevStart = `,"prev":"`
	timeStart = `","time":"`

	maxStart = len(seqStart) + 20 + len(prevStart) + 64 + 1 // of a line, up to its body
)

// appendLine appends the line of the record seq, without the newline.
func appendLine(b []byte, seq uint64, prev hash, body []byte) []byte {
	b = append(b, seqStart...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, prevStart...)
	b = hex.AppendEncode(b, prev[:])
	b = append(b, '"')
	return append(b, body...)
}

// parsed is what the chain needs of a line.
type parsed struct {
	seq    uint64
	prev   hash
	prevAt int // offset of the 64 hex digits of prev
	time   time.Time
	whole  bool // the rest of the line is as a record should be, too
}

// parseLine reads the members that every line begins with, exactly as the log writes them. It answers false
// if they are not there; a line that begins well and goes on badly is answered with whole false.
func parseLine(line []byte) (parsed, bool) {
	p, ok := parseStart(line)
	if !ok {
		return p, false
	}
	rest, ok := bytes.CutPrefix(line[p.prevAt+2*len(p.prev):], []byte(timeStart))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return p, true
	}
	var err error
	p.time, err = time.Parse(time.RFC3339Nano, string(rest[:end]))
	p.whole = err == nil && json.Valid(line)
	return p, true
}

// parseStart reads the number and the link alone, which takes a small part of the time.
func parseStart(line []byte) (parsed, bool) {
	var p parsed
	rest, ok := bytes.CutPrefix(line, []byte(seqStart))
	if !ok {
		return p, false
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	if n == 0 || n > 20 || rest[0] == '0' {
		return p, false
	}
	seq, err := strconv.ParseUint(string(rest[:n]), 10, 64)
	if err != nil {
		return p, false
	}
	p.seq = seq
	rest, ok = bytes.CutPrefix(rest[n:], []byte(prevStart))
	if !ok || len(rest) < 2*len(p.prev) {
		return p, false
	}
	p.prevAt = len(line) - len(rest)
	for i, c := range rest[:2*len(p.prev)] {
		d := bytes.IndexByte([]byte(hexDigits), c)
		if d < 0 { // capital digits too: the log does not write them
			return p, false
		}
		p.prev[i/2] = p.prev[i/2]<<4 | byte(d)
	}
	return p, true
}
