package query

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// workers is how many places of the log are read at a time: a record that lies alone is looked for in the folder, sought
// and unpacked, and waits for the disk.
const workers = 4

// apart shares candidates among workers, each with a run of them. Those that lie near each other are read by one.
func apart(all []candidate, near uint64) (runs [][]candidate) {
	share := (len(all) + workers - 1) / workers
	for from, i := 0, 1; i <= len(all); i++ {
		if i == len(all) || i-from >= share && all[i].seq-all[i-1].seq > near {
			runs, from = append(runs, all[from:i]), i
		}
	}
	return runs
}

// read reads candidates of the log, and gives those that match. kept says that they are of a file, which may lie.
func (x *Index) read(part []candidate, c *compiled, kept bool) (found []Found, err error) {
	runs := apart(part, x.log.near)
	if len(runs) == 1 {
		return x.log.read(part, c, kept)
	}
	results, errs := make([][]Found, len(runs)), make([]error, len(runs))
	var all sync.WaitGroup
	for i, run := range runs {
		all.Go(func() {
			l := &log{path: x.log.path, first: x.log.first, end: x.log.end, headless: x.log.headless, near: x.log.near}
			results[i], errs[i] = l.read(run, c, kept)
			if err := l.close(); errs[i] == nil {
				errs[i] = err
			}
		})
	}
	all.Wait()
	for i := range runs {
		if found = append(found, results[i]...); errs[i] != nil {
			return found, errs[i]
		}
	}
	return found, nil
}

// read is that of the index, with one reader.
func (l *log) read(part []candidate, c *compiled, kept bool) (found []Found, err error) {
	for _, one := range part {
		line, err := l.line(one.seq)
		if errors.Is(err, io.EOF) {
			err = l.damaged("it ends before record %d", one.seq)
		}
		if err != nil {
			return found, err
		}
		r, err := l.record(line)
		if err != nil {
			return found, err
		}
		switch same := bytes.Equal(one.mark[:], line.Hash[:len(one.mark)]); {
		case kept && (!same || !c.maybe(&r)):
			return found, ErrUntrue
		case !same:
			return found, l.damaged("record %d has changed", one.seq)
		case c.match(&r):
			found = append(found, foundAt(line, r))
		}
	}
	return found, nil
}
