package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Adopt makes a log without a fitting head usable again: it verifies the chain from the first record to the last
// and, if nothing is wrong in it, writes a head that names the last. Records that are missing at the end are
// given up for lost by this, so a person has to ask for it. The head from before is kept beside it, since it may
// be all that tells of them. It refuses a log that another process writes.
func Adopt(path string) (Report, error) {
	parts, err := readLayout(path)
	if err != nil {
		return Report{}, err
	}
	f, err := openLog(path, parts.last() > 0) // the closed segments may be all that is left
	if err != nil {
		return Report{}, &Error{Kind: ErrUnusable, Detail: "it cannot be opened", Cause: err}
	}
	defer func() { _ = f.Close() }() // nothing is written to it
	d := &disk{f: f, path: path}
	if err := d.usable(); err != nil {
		return Report{}, err
	}
	if err := both(d.tidyLinks(""), tidy(path)); err != nil {
		return Report{}, err
	}
	r, err := verifyOnce(path, VerifyOptions{})
	if err != nil {
		return r, err
	}
	if !r.Intact() {
		return r, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: %d problems; the first: %v", path, len(r.Problems)+r.Omitted, r.Problems[0]),
			Advice: "put the log back from a copy, or keep it aside and begin a new one at another path"}
	}
	if err := f.Sync(); err != nil {
		return r, err
	}
	if err := keepHead(path); err != nil {
		return r, err
	}
	return r, replaceHead(path, r.End)
}

// keepHead gives the head file a second name, under which it stays when it is replaced.
func keepHead(path string) error {
	name := HeadPath(path)
	err := os.Link(name, name+".before-"+time.Now().UTC().Format("20060102T150405.000000Z"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
