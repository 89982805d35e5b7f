package auditor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/audit/whole"
)

// Monitor follows a log by what it publishes, and remembers in a file what it has seen.
type Monitor struct {
	Source    Source
	Trust     Trust
	StatePath string
	// Records has every record read, too: that it continues the chain, and is the leaf that the tree has. Those before the
	// record From are passed over.
	Records bool
	From    int64
	// Activity is how long the log may stand still. 0: for ever.
	Activity time.Duration
}

// Seen is what a look has found, without an alarm.
type Seen struct {
	Time    time.Time `json:"time"`
	Origin  string    `json:"origin"`
	Size    int64     `json:"size"`
	Root    string    `json:"root"`
	Grown   int64     `json:"grown"`             // records since the look before
	Checked int64     `json:"checked,omitempty"` // the last record that was read
}

// AlarmKind says what is wrong.
type AlarmKind string

// The kinds of alarm.
const (
	AlarmFork       AlarmKind = "fork"       // two trees of one size
	AlarmRollback   AlarmKind = "rollback"   // the log has become shorter
	AlarmRewritten  AlarmKind = "rewritten"  // the tree that was seen is not the beginning of this one
	AlarmCheckpoint AlarmKind = "checkpoint" // it is not signed by the log
	AlarmTiles      AlarmKind = "tiles"      // the tiles are not those of the checkpoint
	AlarmRecord     AlarmKind = "record"     // a record does not continue the chain, or is not the leaf of the tree
	AlarmRemoved    AlarmKind = "removed"    // records were removed before they were read
	AlarmStandstill AlarmKind = "standstill" // nothing was recorded for longer than may be
)

// Alarm is what a monitor is for.
type Alarm struct {
	Kind     AlarmKind `json:"alarm"`
	Detail   string    `json:"detail"`
	Evidence []string  `json:"evidence,omitempty"` // files
}

func (a *Alarm) Error() string { return string(a.Kind) + ": " + a.Detail }

// Look reads the newest checkpoint and checks it against what was seen before. The error is an *Alarm, or says that the
// log could not be read, which proves nothing: nothing is remembered then, so that the next look begins where this did.
func (m *Monitor) Look(ctx context.Context) (Seen, error) {
	state, err := readState(m.StatePath)
	if err != nil {
		return Seen{}, err
	}
	signed, err := m.Source.Checkpoint(ctx)
	if err != nil {
		return Seen{}, err
	}
	c, err := m.Trust.Parse(signed)
	if err != nil {
		return Seen{}, m.alarm(AlarmCheckpoint, err.Error(), nil, signed)
	}
	now := time.Now().UTC()
	seen := Seen{Time: now, Origin: c.Origin, Size: c.Tree.N, Root: c.Tree.Hash.String(), Checked: state.Records}
	old, err := m.remembered(state)
	if err != nil {
		return Seen{}, err
	}
	if err := Consistent(ctx, m.Source, c.Tree, old.Tree); err != nil {
		return Seen{}, m.inconsistent(err, old.Text, signed)
	}
	seen.Grown = c.Tree.N - old.Tree.N
	active := seen.Grown > 0 || state.Grown.IsZero()
	if m.Records {
		state.begin(m.From)
		if err := m.read(ctx, c.Tree, &state); err != nil {
			return Seen{}, err
		}
		seen.Checked = state.Records
		active = state.active || state.Grown.IsZero()
	}
	if active {
		state.Grown = now
	}
	state.Checkpoint = string(signed)
	if err := state.write(m.StatePath); err != nil {
		return Seen{}, err
	}
	if still := now.Sub(state.Grown); m.Activity > 0 && still > m.Activity {
		return seen, &Alarm{Kind: AlarmStandstill, Detail: fmt.Sprintf("the log has had no activity since %s, with %d records", state.Grown.Format(time.RFC3339), c.Tree.N)}
	}
	return seen, nil
}

// remembered is the checkpoint of the look before; the empty tree at the first one.
func (m *Monitor) remembered(s state) (tree.Checkpoint, error) {
	if s.Checkpoint == "" {
		return tree.Checkpoint{}, nil
	}
	c, err := m.Trust.Parse([]byte(s.Checkpoint))
	if err != nil {
		return c, fmt.Errorf("%s is of another log, or of another key of it: %w", m.StatePath, err)
	}
	return c, nil
}

// inconsistent makes an alarm of what Consistent has found.
func (m *Monitor) inconsistent(err error, kept, shown []byte) error {
	for kind, is := range map[AlarmKind]error{AlarmFork: ErrFork, AlarmRollback: ErrRollback, AlarmRewritten: ErrRewritten, AlarmTiles: ErrTiles} {
		if errors.Is(err, is) {
			return m.alarm(kind, err.Error(), kept, shown)
		}
	}
	return err
}

// alarm keeps the checkpoints that contradict each other, both signed by the log, beside the state.
func (m *Monitor) alarm(kind AlarmKind, detail string, kept, shown []byte) error {
	a := &Alarm{Kind: kind, Detail: detail}
	sum := sha256.Sum256(shown)
	base := fmt.Sprintf("%s.%s-%s", m.StatePath, kind, hex.EncodeToString(sum[:4]))
	for name, text := range map[string][]byte{"kept": kept, "shown": shown} {
		if len(text) == 0 {
			continue
		}
		if err := whole.Write(base+"."+name, text, 0o600); err != nil {
			a.Detail += "; the evidence cannot be kept: " + err.Error()
			continue
		}
		a.Evidence = append(a.Evidence, base+"."+name)
	}
	return a
}

// read checks the records that were not read yet.
func (m *Monitor) read(ctx context.Context, t tlog.Tree, s *state) error {
	leaves := hashesOf(ctx, t, m.Source)
	for s.Records < t.N {
		bundle := tlog.Tile{H: height, L: -1, N: s.Records / width}
		first := bundle.N * width
		bundle.W = int(min(t.N-first, width))
		if err := m.bundle(ctx, bundle, leaves, s); err != nil {
			return err
		}
	}
	return nil
}

// bundle checks the records of one bundle, from the first that was not read yet.
func (m *Monitor) bundle(ctx context.Context, b tlog.Tile, leaves tlog.HashReader, s *state) error {
	data, err := m.Source.Tile(ctx, b)
	if errors.Is(err, audit.ErrRemoved) {
		return s.removed(b.N*width+int64(b.W), err.Error())
	}
	if err != nil {
		return fmt.Errorf("the records from %d on: %w", b.N*width+1, err)
	}
	lines, err := tree.ParseBundle(data)
	if err != nil || len(lines) < b.W {
		return &Alarm{Kind: AlarmRecord, Detail: fmt.Sprintf("the bundle of records %d to %d is not whole", b.N*width+1, b.N*width+int64(b.W))}
	}
	begin := s.Records - b.N*width
	if n := slices.IndexFunc(lines[begin:b.W], func(l []byte) bool { return len(l) > 0 }); n != 0 {
		if n < 0 {
			n = b.W - int(begin)
		}
		return s.removed(s.Records+int64(n), "the log holds them no more")
	}
	indexes := make([]int64, b.W)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, b.N*width+int64(i))
	}
	want, err := leaves.ReadHashes(indexes)
	if errors.Is(err, ErrTiles) {
		return &Alarm{Kind: AlarmTiles, Detail: err.Error()}
	}
	if err != nil {
		return err
	}
	for i := begin; i < int64(b.W); i++ {
		if err := s.take(lines[i], want[i]); err != nil {
			return err
		}
	}
	return nil
}

// readLog is the operation that reads records over REST: what a monitor itself does is no activity.
const readLog = "ReadLog"

// take checks the next record.
func (s *state) take(line []byte, leaf tlog.Hash) error {
	seq := uint64(s.Records + 1)
	wrong := func(format string, args ...any) error {
		return &Alarm{Kind: AlarmRecord, Detail: fmt.Sprintf("record %d: ", seq) + fmt.Sprintf(format, args...)}
	}
	r, err := decode(line)
	switch {
	case tlog.RecordHash(line) != leaf:
		return wrong("it is not the leaf that the tree has")
	case err != nil:
		return wrong("it cannot be read: %s", err)
	case r.Seq != seq:
		return wrong("it says that it is number %d", r.Seq)
	case s.LastHash != "" && r.Prev != s.LastHash:
		return wrong("its prev is not the hash of the record before")
	}
	s.active = s.active || r.Operation != readLog
	sum := sha256.Sum256(line)
	s.Records, s.LastHash = s.Records+1, hex.EncodeToString(sum[:])
	return nil
}
