package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// What an operator does when the tree does not fit.
const (
	inconsistentAdvice = "nothing is signed until this is found out: run hsmgate audit verify, compare the log and its checkpoints with copies from elsewhere, and put back the one that was changed; to begin a new history on purpose, stop hsmgated, move the folder of the tree away and run 'hsmgated audit accept-history', which is recorded"
	damagedAdvice      = "put the folder of the tree back from a copy"
)

func inconsistent(format string, args ...any) error {
	return &audit.Error{Kind: ErrInconsistent, Detail: fmt.Sprintf(format, args...), Advice: inconsistentAdvice}
}

func damaged(cause error, format string, args ...any) error {
	return &audit.Error{Kind: ErrDamaged, Detail: fmt.Sprintf(format, args...), Advice: damagedAdvice, Cause: cause}
}

// load takes up what is on the disk: the last checkpoint, the edge of its tree, and the records that it covers last.
func (p *Publisher) load() error {
	p.history, p.end, p.last = nil, 0, Checkpoint{}
	if err := p.state.over(); err != nil {
		return err
	}
	if err := p.writeKeys(); err != nil {
		return err
	}
	shown, err := p.loadCheckpoints()
	if err != nil {
		return err
	}
	if err := p.loadSigned(); err != nil {
		return err
	}
	edge, err := p.loadEdge()
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.edge, p.full, p.outworn, p.known = edge, nil, nil, false
	for level := range edge.tiles {
		if t := edgeTile(edge.size, level); t.N > 0 { // a crash may have left its parts
			p.outworn = append(p.outworn, tlog.Tile{H: height, L: level, N: t.N - 1, W: width})
		}
	}
	p.mu.Unlock()
	if err := p.compare(); err != nil {
		return err
	}
	if p.old(p.last.Tree) {
		return nil
	}
	if err := p.continuesSigned(p.last.Tree); err != nil {
		return err
	}
	if shown.Tree.N == p.last.Tree.N {
		p.state.shown(p.last, p.when, p.opts.OnState)
		return nil
	}
	return p.show()
}

// writeKeys shows the public keys.
func (p *Publisher) writeKeys() error {
	text := strings.Join(p.opts.Keys, "\n") + "\n"
	path := p.disk.dir.path(keyName)
	if there, err := os.ReadFile(path); err == nil && string(there) == text {
		return nil
	}
	if err := replace(path, []byte(text)); err != nil {
		return err
	}
	return errors.Join(syncDir(string(p.disk.dir)), syncDir(filepath.Dir(string(p.disk.dir))))
}

// loadCheckpoints opens the history and reads its last checkpoint into p.last, and gives the one that is shown, which
// may be older. What a crash left of a line is cut off.
func (p *Publisher) loadCheckpoints() (shown Checkpoint, err error) {
	dir := p.disk.dir
	shown, err = dir.Checkpoint(p.keys...)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return shown, damaged(err, "the last checkpoint cannot be read")
	}
	if p.history, err = os.OpenFile(dir.path(historyName), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return shown, err
	}
	line, end, ok, err := lastPublished(p.history)
	if err != nil {
		return shown, damaged(err, "the checkpoints that were published cannot be read")
	}
	if ok {
		p.when = line.Time
		if p.last, err = ParseCheckpoint([]byte(line.Checkpoint), p.keys...); err != nil {
			return shown, damaged(err, "the last line of %s is no checkpoint of this log", p.history.Name())
		}
	}
	for _, c := range []Checkpoint{shown, p.last} {
		if c.Origin != "" && c.Origin != p.opts.Origin {
			return shown, inconsistent("the tree in %s is that of the log %q, and this one is %q by its configuration", dir, c.Origin, p.opts.Origin)
		}
	}
	if before := p.Stats().Checkpoint.Tree; before.N > p.last.Tree.N {
		return shown, inconsistent("a checkpoint of %d records was published, and %s now ends with one of %d", before.N, p.history.Name(), p.last.Tree.N)
	}
	if shown.Tree.N > p.last.Tree.N || shown.Tree.N == p.last.Tree.N && shown.Tree != p.last.Tree {
		return shown, inconsistent("the last checkpoint is of %d records, and %s ends with one of %d records", shown.Tree.N, p.history.Name(), p.last.Tree.N)
	}
	p.end = end
	return shown, errors.Join(p.history.Truncate(end), p.history.Sync(), syncDir(string(dir)))
}

// loadEdge reads the edge of the tree of p.last. If the tiles do not give its root they are made anew from the log, if
// that does.
func (p *Publisher) loadEdge() (*Edge, error) {
	want, dir := p.last.Tree, p.disk.dir
	if head := p.log.Head().Seq; head < uint64(want.N) {
		return nil, inconsistent("the log ends with record %d, and the last checkpoint covers %d", head, want.N)
	}
	edge, lost := dir.Load(want.N)
	if lost == nil {
		got, err := edge.Tree()
		if err != nil || got == want || want.N == 0 {
			return edge, err
		}
		lost = errors.New("their root is another one")
	}
	if edge, err := Build(p.path, want.N, p.ended); err != nil {
		return nil, damaged(errors.Join(lost, err), "the tiles are not those of the last checkpoint, and cannot be made from the log")
	} else if got, err := edge.Tree(); err != nil || got != want {
		return nil, inconsistent("the first %d records give the root %s, and the last checkpoint has %s", want.N, got.Hash, want.Hash)
	}
	return p.rebuild(want.N) // only now: tiles that the log does not give are evidence
}

func (p *Publisher) ended(tlog.Tile, []byte) error { return p.ctx.Err() }

// rebuild makes the tiles anew from the log.
func (p *Publisher) rebuild(size int64) (*Edge, error) {
	var list []filled
	edge, err := Build(p.path, size, func(t tlog.Tile, data []byte) error {
		if list = append(list, filled{t, data}); len(list) < keep {
			return p.ctx.Err()
		}
		err := p.disk.writeTiles(list)
		list = list[:0]
		return err
	})
	if err != nil {
		return nil, err
	}
	return edge, p.disk.writeTiles(append(list, edge.unfilled()...))
}

// compare compares the records of the last tile with the log, as far as retention has left them there. The last of them
// pins, by the log's own chain, all that is before it.
func (p *Publisher) compare() error {
	size := uint64(p.edge.size)
	if size == 0 {
		return nil
	}
	t := tlog.Tile{H: height, L: 0, N: int64((size - 1) / width), W: int((size-1)%width + 1)}
	data, err := p.disk.dir.ReadTile(t)
	if err != nil {
		return damaged(err, "the last tile cannot be read")
	}
	first := uint64(t.N)*width + 1
	r, err := audit.OpenReader(p.path, first)
	if err != nil { // its beginning may have been removed
		r, err = audit.OpenReader(p.path, 0)
	}
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
	for {
		line, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return inconsistent("the log ends before record %d, which the last checkpoint covers", size)
		case err != nil:
			return err
		case line.Seq > size: // what the checkpoint covers was removed
			return nil
		case line.Seq < first:
			continue
		}
		if at := (line.Seq - first) * tlog.HashSize; tlog.RecordHash(line.Text) != tlog.Hash(data[at:at+tlog.HashSize]) {
			return inconsistent("record %d is not the one that the last checkpoint covers", line.Seq)
		}
		if p.sum, p.known = line.Hash, true; line.Seq == size {
			return nil
		}
	}
}
