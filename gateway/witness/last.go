package witness

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Last pushes a last checkpoint, once, after Run has ended, to each place that has not got it. The error names the places that
// have not got it when the context ends.
func (p *Pusher) Last(ctx context.Context, c tree.Checkpoint) error {
	if c.Tree.N == 0 {
		return nil
	}
	var all sync.WaitGroup
	errs := make([]error, len(p.followers))
	for i, f := range p.followers {
		all.Go(func() { errs[i] = f.last(ctx, c) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// last does not wait for a place that hangs, whatever becomes of the push.
func (f *follower) last(ctx context.Context, c tree.Checkpoint) error {
	if f.state().Size == c.Tree.N {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		line, err := f.place.push(ctx, c, f.options.Prove)
		if err == nil && line != "" {
			f.options.Cosigned(Cosigned{c, line})
		}
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.place.Name(), err)
	}
	f.pushed(c)
	return nil
}
