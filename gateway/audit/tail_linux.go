package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// tail is what the end of a log file holds.
type tail struct {
	seq     uint64 // the last whole record; 0 in an empty log
	sum     hash
	size    int64 // where it ends, newline included
	tornLen int64 // bytes after it: the beginning of a line that was never finished
	torn    []byte
	headSum hash // of the record that has the head's number
	hasHead bool // such a record was found
}

// readTail reads the log's end, back to the record that the head names and forward again along the chain.
// It reads no more than it must, whatever the log's length.
func readTail(f *os.File, size int64, head Receipt, base walker) (tail, error) {
	for span := int64(64 << 10); ; span *= 4 {
		start := max(0, size-span)
		b := make([]byte, size-start)
		if _, err := f.ReadAt(b, start); err != nil && err != io.EOF {
			return tail{}, err
		}
		if start > 0 {
			i := bytes.IndexByte(b, '\n') // the first line may be cut by the window
			if i < 0 {
				continue
			}
			b, start = b[i+1:], start+int64(i)+1
		}
		if first, ok := parseLine(firstLine(b)); start > 0 && (!ok || first.seq > max(head.Seq, base.seq+1)) {
			continue
		}
		return walkTail(b, start, size, head, base)
	}
}

func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i]
	}
	return nil
}

// walkTail follows the chain through b, which begins with a line at the offset start and ends the file.
func walkTail(b []byte, start, size int64, head Receipt, base walker) (tail, error) {
	t := tail{size: start}
	linked := start == 0
	if linked {
		t.seq, t.sum = base.seq, base.sum
	}
	if head.Seq == base.seq {
		t.headSum, t.hasHead = base.sum, true
	}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 || bytes.IndexByte(b[:end], 0) >= 0 { // a crash of the machine can leave zeros
			break
		}
		line := b[:end]
		p, ok := parseLine(line)
		want := t.seq + 1
		if !ok || !p.whole || (linked && (p.seq != want || p.prev != t.sum)) {
			return t, fmt.Errorf("the line at byte %d does not continue record %d", t.size, t.seq)
		}
		t.seq, t.sum, linked = p.seq, hashOf(line), true
		t.size += int64(end) + 1
		b = b[end+1:]
		if t.seq == head.Seq {
			t.headSum, t.hasHead = t.sum, true
		}
	}
	t.tornLen = size - t.size
	t.torn = append(t.torn, b[:min(len(b), MaxText)]...)
	return t, nil
}
