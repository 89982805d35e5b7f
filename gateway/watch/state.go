package watch

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
)

// stateVersion is that of a snapshot. One of another version is not read: the log has everything in it.
const stateVersion = 3

// ErrState says that a snapshot cannot be used, and the log has to be read again.
var ErrState = errors.New("the state cannot be used")

// Seen names the last record that a snapshot has seen.
type Seen struct {
	Seq  uint64
	Hash [32]byte
}

// state is a snapshot.
type state struct {
	Seen     Seen
	Zone     string // the hours of callers are in it
	Series   []entry[use, series]
	Keys     []entry[string, life]
	Pairs    []entry[pairKey, int64]
	Callers  []entry[string, caller]
	Failures []entry[pairKey, failure]
	Told     []entry[subject, told]
	Usage    []entry[usageKey, counts]
}

// Snapshot is what a Detector and a Usage know after a record.
func Snapshot(d *Detector, u *Usage, seen Seen) ([]byte, error) {
	s := state{seen, d.zone.String(), d.series.entries(), d.keys.entries(), d.pairs.entries(), d.callers.entries(), d.failures.entries(), d.told.entries(), nil}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Usage = u.series.entries()
	var b bytes.Buffer
	e := gob.NewEncoder(&b)
	err := e.Encode(stateVersion)
	if err == nil {
		err = e.Encode(&s)
	}
	return b.Bytes(), err
}

// Restore makes a Detector and a Usage that know what a snapshot does. The error is ErrState.
func Restore(data []byte, settings Settings) (*Detector, *Usage, Seen, error) {
	var version int
	var s state
	r := gob.NewDecoder(bytes.NewReader(data))
	if err := r.Decode(&version); err != nil {
		return nil, nil, Seen{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	if version != stateVersion {
		return nil, nil, Seen{}, fmt.Errorf("%w: it is of version %d, and %d is known", ErrState, version, stateVersion)
	}
	if err := r.Decode(&s); err != nil {
		return nil, nil, Seen{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	d, u := New(settings), NewUsage()
	if s.Zone != d.zone.String() {
		return nil, nil, Seen{}, fmt.Errorf("%w: its hours are those of %s", ErrState, s.Zone)
	}
	for _, e := range s.Series {
		if len(e.Value.Counts) != weeks*hoursOfWeek {
			return nil, nil, Seen{}, fmt.Errorf("%w: it holds %d hours of %s", ErrState, len(e.Value.Counts), e.Key.Key)
		}
	}
	d.series.load(s.Series)
	d.keys.load(s.Keys)
	d.pairs.load(s.Pairs)
	d.callers.load(s.Callers)
	d.failures.load(s.Failures)
	d.told.load(s.Told)
	u.series.load(s.Usage)
	return d, u, s.Seen, nil
}
