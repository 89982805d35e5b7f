package tree

import (
	"context"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// publishAll publishes a checkpoint whenever one is due. It ends with the context, or when the disk fails; a token that
// does not sign is asked again, because what was read of the log is still good.
func (p *Publisher) publishAll(ctx context.Context) error {
	for {
		begun := time.Now()
		err := p.publish()
		if err != nil && !isSigning(err) {
			return err
		}
		if err != nil {
			p.state.failed(err, p.opts.OnState)
		}
		if !p.pause(ctx, begun) {
			return ctx.Err()
		}
	}
}

// pause waits until there are new records and a checkpoint is due, or sooner if somebody waits for one.
func (p *Publisher) pause(ctx context.Context, begun time.Time) bool {
	if !sleep(ctx, nil, begun.Add(p.opts.Interval/10)) { // not more often, whoever waits
		return false
	}
	for !p.behind() {
		select {
		case <-p.grown:
		case <-ctx.Done():
			return false
		}
	}
	for due := begun.Add(p.opts.Interval); time.Now().Before(due) && !p.state.hurried(p.last.Tree.N); {
		if !sleep(ctx, p.asked, due) {
			return false
		}
	}
	return true
}

// sleep returns at the time, or when it is woken. It answers false when the context ends.
func sleep(ctx context.Context, woken <-chan struct{}, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
		return false
	}
	return true
}

// behind says whether there are records that the last checkpoint does not cover.
func (p *Publisher) behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.edge.size > p.last.Tree.N
}

// signingError is what the token said.
type signingError struct{ error }

func (e signingError) Unwrap() error { return e.error }

// publish makes a checkpoint of the tree as it is now and shows it. What a crash leaves behind is said at each step; no
// step takes back what one before it did.
func (p *Publisher) publish() error {
	if err := p.state.over(); err != nil {
		return err
	}
	tree, err := p.flush()
	if err != nil || tree.N == p.last.Tree.N || p.old(tree) {
		return err
	}
	// A crash up to here leaves tiles that no checkpoint needs yet. They are written again, with the same bytes.
	if err := p.continues(tree); err != nil {
		return err
	}
	c, err := SignCheckpoint(p.opts.Origin, tree, p.signer)
	if err != nil {
		return signingError{err}
	}
	// A crash here leaves a signature that nobody has seen. The next checkpoint is of this tree, or continues it.
	if err := p.record(c); err != nil {
		return err
	}
	// A crash here leaves a checkpoint in the history that is not shown: it is what load begins with, and shows.
	p.last = c
	if err := p.show(); err != nil {
		return err
	}
	// A crash here leaves parts of tiles that are full: they are in nobody's way.
	if err := p.tidy(); err != nil {
		return err
	}
	return p.thin()
}

// flush makes durable all tiles of the tree as it is now.
func (p *Publisher) flush() (tlog.Tree, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tree, err := p.edge.Tree()
	if err != nil || tree.N == p.last.Tree.N {
		return tree, err
	}
	var changed []filled
	for _, f := range p.edge.unfilled() {
		if f.tile != edgeTile(p.last.Tree.N, f.tile.L) {
			changed = append(changed, f)
		}
	}
	return tree, p.write(changed)
}

// continues proves, from the tiles that are on the disk, that the tree holds all that the last checkpoint holds, and
// what was signed beyond it.
func (p *Publisher) continues(tree tlog.Tree) error {
	proof, err := p.disk.dir.ProveTree(tree, p.last.Tree)
	if err != nil {
		return damaged(err, "the tiles do not give the tree of %d records", tree.N)
	}
	if err := CheckTree(proof, tree, p.last.Tree); err != nil {
		return inconsistent("the tree of %d records does not continue the last checkpoint, of %d", tree.N, p.last.Tree.N)
	}
	if p.old(p.last.Tree) {
		return p.continuesSigned(tree)
	}
	return nil
}

// record adds a checkpoint to the history, durably.
func (p *Publisher) record(c Checkpoint) error {
	p.when = time.Now().UTC()
	line, err := Published{Time: p.when, Checkpoint: string(c.Text)}.line()
	if err != nil {
		return err
	}
	if err := p.disk.do(stepHistory, len(line), func(n int) error {
		_, err := p.history.WriteAt(line[:n], p.end)
		return err
	}); err != nil {
		return err
	}
	if err := p.disk.do(stepSync, 0, func(int) error { return p.history.Sync() }); err != nil {
		return err
	}
	p.end += int64(len(line))
	return nil
}

// show puts the last checkpoint of the history where everybody reads it, and tells who waits.
func (p *Publisher) show() error {
	p.showing.Lock()
	defer p.showing.Unlock()
	err := p.disk.do(stepCheckpoint, len(p.last.Text), func(n int) error {
		return replace(p.disk.dir.path(checkpointName), p.last.Text[:n])
	})
	if err == nil {
		p.state.shown(p.last, p.when, p.opts.OnState)
	}
	return err
}

// tidy removes parts of tiles that are full by now. The last checkpoint does not need them, and full tiles serve who
// still reads an older one.
func (p *Publisher) tidy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Time{}
	if p.edge.size > p.last.Tree.N {
		p.since = time.Now()
	}
	err := p.disk.tidy(p.outworn)
	p.outworn = p.outworn[:0]
	return err
}

// thin bounds the history, whose file is replaced in one step.
func (p *Publisher) thin() error {
	if p.end <= p.opts.maxHistory {
		return nil
	}
	name := p.history.Name()
	if err := p.disk.do(stepThin, 0, func(int) error { return Thin(name, 0o600) }); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_ = p.history.Close() // each line was synced
	p.history = f
	info, err := f.Stat()
	if err == nil {
		p.end = info.Size()
	}
	return err
}
