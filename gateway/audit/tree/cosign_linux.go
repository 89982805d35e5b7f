package tree

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// Keys are the public keys of the log, the one that signs now first.
func (p *Publisher) Keys() []note.Verifier { return p.keys }

// Next returns when a checkpoint of more than after records is shown. Unlike Wait, it hastens none.
func (p *Publisher) Next(ctx context.Context, after int64) (Checkpoint, error) {
	s := &p.state
	for {
		s.mu.Lock()
		c := s.stats.Checkpoint
		if c.Tree.N > after {
			s.mu.Unlock()
			return c, nil
		}
		if s.news == nil {
			s.news = make(chan struct{})
		}
		news := s.news
		s.mu.Unlock()
		select {
		case <-news:
		case <-p.done:
			return c, errors.New("the tree is closed")
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// Cosign adds a signature line of a witness to the checkpoint that is shown, if that is still the one. The history
// keeps what the log itself has signed.
func (p *Publisher) Cosign(of Checkpoint, line string) error {
	p.showing.Lock()
	defer p.showing.Unlock()
	p.state.mu.Lock()
	c := p.state.stats.Checkpoint
	p.state.mu.Unlock()
	if c.Tree != of.Tree {
		return nil
	}
	c.Text = append(slices.Clip(c.Text), line...)
	if err := replace(p.disk.dir.path(checkpointName), c.Text); err != nil {
		return err
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	p.state.stats.Checkpoint = c // the lock of showing is held, so it is still that tree
	return nil
}
