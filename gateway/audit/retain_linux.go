package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

const (
	stepCutFile step = "cut file" // the cut is written
	stepCutName step = "cut name" // it takes the place of the one before
	stepRemove  step = "remove"   // a segment that the cut says is removed goes
)

// retain removes the closed segments whose last record is older than the setting allows. Before anything goes, the cut
// is durable: it names the last record that goes and holds what the log's key has signed for it.
func (k *keeper) retain(now time.Time) error {
	if err := k.removeCut(); err != nil || k.opts.Retention <= 0 { // a crash has left some
		return err
	}
	last, err := k.expired(now.Add(-k.opts.Retention))
	if err != nil || last == nil {
		return err
	}
	if k.opts.Seal == nil {
		return errors.New("nothing is removed, because there is nobody who seals what goes")
	}
	receipt := Receipt{last.Last, last.sum.String()}
	signed, err := k.opts.Seal(receipt)
	if err != nil {
		return fmt.Errorf("nothing is removed, because record %d cannot be sealed: %w", last.Last, err)
	}
	if err := k.writeCut(Cut{Last: receipt, Signed: signed}); err != nil {
		return err
	}
	return k.removeCut()
}

// expired gives the last segment of those at the log's beginning that are older than the limit, or nil.
func (k *keeper) expired(limit time.Time) (last *Segment, err error) {
	for _, s := range k.segments() {
		if err := s.readEnds(); err != nil {
			return nil, err
		}
		if !s.To.Before(limit) {
			break
		}
		last = &s
	}
	return last, nil
}

// writeCut puts the cut in place, durably. A crash leaves the one before.
func (k *keeper) writeCut(c Cut) error {
	name := CutPath(k.path)
	err := k.opts.do(stepCutFile, 0, func(int) error { return writeSynced(name+newSuffix, c.encode()) })
	if err != nil {
		return err
	}
	return k.opts.do(stepCutName, 0, func(int) error {
		return both(os.Rename(name+newSuffix, name), syncDir(SegmentsPath(k.path)))
	})
}

// removeCut removes the segments that the cut says are removed, the oldest first. A crash leaves some, which nobody
// reads any more.
func (k *keeper) removeCut() error {
	cut, err := ReadCut(k.path)
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	l, err := listBehind(k.path, Receipt{Hash: cut.Last.Hash})
	if err != nil {
		return err
	}
	old := slices.DeleteFunc(l.closed, func(s Segment) bool { return s.Last > cut.Last.Seq })
	if len(old) == 0 {
		return nil
	}
	// A cut that is another log's, or an old one, must not remove anything.
	last := old[len(old)-1]
	if err := last.readEnds(); err != nil {
		return err
	}
	if (Receipt{last.Last, last.sum.String()}) != cut.Last {
		return fmt.Errorf("%s names record %s, which is not the last one of %s: nothing is removed", CutPath(k.path), cut.Last, last.File)
	}
	for _, s := range old {
		k.replace(s.First) // first, so that it is not missed
		if err := k.opts.do(stepRemove, 0, func(int) error { return os.Remove(s.File) }); err != nil {
			return err
		}
	}
	return syncDir(SegmentsPath(k.path))
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return both(err, f.Close())
}
