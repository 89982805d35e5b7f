package tree

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Published is a line of the file checkpoints.
type Published struct {
	Time       time.Time `json:"time"`
	Checkpoint string    `json:"checkpoint"` // the signed note
}

// maxPublished bounds a line.
const maxPublished = 2 * maxCheckpoint

// line gives it as it stands in the file, with its newline.
func (p Published) line() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(p)
	return b.Bytes(), err
}

// History gives each the checkpoints that were published, the oldest first. A last line without an end is none. It may
// be read while more are published. The error is fs.ErrNotExist where none was published, or that of each.
func (d Dir) History(each func(Published) error) error {
	f, err := os.Open(d.path(historyName))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, maxPublished)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		var p Published
		if err == nil {
			err = json.Unmarshal(line, &p)
		}
		if err != nil {
			return fmt.Errorf("line %d of %s is not a checkpoint: %w", n, d.path(historyName), err)
		}
		if err := each(p); err != nil {
			return err
		}
	}
}

// lastPublished reads the last whole line, and where the next one begins. It answers false if there is none.
func lastPublished(f *os.File) (p Published, end int64, ok bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return p, 0, false, err
	}
	start := max(info.Size()-2*maxPublished, 0)
	tail, err := io.ReadAll(io.NewSectionReader(f, start, info.Size()-start))
	if err != nil {
		return p, 0, false, err
	}
	whole := tail[:bytes.LastIndexByte(tail, '\n')+1]
	end = start + int64(len(whole))
	if len(whole) == 0 && start > 0 {
		return p, 0, false, fmt.Errorf("%s ends with more than a checkpoint and no end of a line", f.Name())
	}
	if len(whole) == 0 {
		return p, 0, false, nil
	}
	line := whole[bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1:]
	if err := json.Unmarshal(line, &p); err != nil {
		return p, 0, false, fmt.Errorf("the last line of %s is not a checkpoint: %w", f.Name(), err)
	}
	return p, end, true, nil
}
