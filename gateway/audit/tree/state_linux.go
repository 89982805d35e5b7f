package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Stats are the figures of a Publisher.
type Stats struct {
	Checkpoint Checkpoint // the newest that was published
	Published  time.Time  // when
	Failures   uint64     // attempts that failed
	Err        error      // why none can be made now, or nil
}

// state is what a Publisher shows.
type state struct {
	mu     sync.Mutex
	stats  Stats
	news   chan struct{} // closed at the next checkpoint; nil if nobody waits
	wanted uint64        // the last record that somebody waits for
	ended  error         // why none is ever made again, or nil
}

func (s *state) shown(c Checkpoint, when time.Time, tell func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Checkpoint, s.stats.Published = c, when
	if s.news != nil {
		close(s.news)
		s.news = nil
	}
	if s.ended != nil { // this one was under way
		return
	}
	if s.stats.Err != nil && tell != nil {
		tell(nil)
	}
	s.stats.Err = nil
}

func (s *state) failed(err error, tell func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Failures++
	if tell != nil && (s.stats.Err == nil || s.stats.Err.Error() != err.Error()) {
		tell(err)
	}
	s.stats.Err = err
}

// end is failed for good.
func (s *state) end(err error, tell func(error)) {
	s.mu.Lock()
	s.ended = err
	s.mu.Unlock()
	s.failed(err, tell)
}

// over is why no checkpoint is ever made again, or nil.
func (s *state) over() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Behind is for how long there have been records that no checkpoint covers; 0 if there are none.
func (p *Publisher) Behind() time.Duration {
	p.mu.Lock()
	size, since := int64(0), p.since
	if p.edge != nil {
		size = p.edge.size
	}
	p.mu.Unlock()
	if p.Stats().Checkpoint.Tree.N >= size || since.IsZero() {
		return 0
	}
	return time.Since(since)
}

func isSigning(err error) bool {
	var e signingError
	return errors.As(err, &e)
}

// hurried says whether somebody waits for a checkpoint that covers more than size records.
func (s *state) hurried(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted > uint64(size)
}

// Stats gives the figures.
func (p *Publisher) Stats() Stats {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	return p.state.stats
}

// Wait returns when a checkpoint covers the record seq, and hastens it. The error is that of the context, and why there
// is no checkpoint if that is known.
func (p *Publisher) Wait(ctx context.Context, seq uint64) (Checkpoint, error) {
	if head := p.log.Head().Seq; seq > head {
		return Checkpoint{}, fmt.Errorf("record %d is not in the log: the last one is %d", seq, head)
	}
	s := &p.state
	for {
		s.mu.Lock()
		c, why := s.stats.Checkpoint, s.stats.Err
		if uint64(c.Tree.N) >= seq {
			s.mu.Unlock()
			return c, nil
		}
		if s.news == nil {
			s.news = make(chan struct{})
		}
		news := s.news
		s.wanted = max(s.wanted, seq)
		s.mu.Unlock()
		wake(p.asked)
		select {
		case <-news:
		case <-p.done:
			return c, errors.Join(errors.New("the tree is closed"), why)
		case <-ctx.Done():
			return c, errors.Join(ctx.Err(), why)
		}
	}
}

// Receipt gives the receipt of a record, as soon as a checkpoint covers it. A record of another hash under its number is
// another one: the log of another process, or one that was put in the place of this.
func (p *Publisher) Receipt(ctx context.Context, of audit.Receipt) (Receipt, error) {
	c, err := p.Wait(ctx, of.Seq)
	if err != nil {
		return Receipt{}, err
	}
	r, err := audit.OpenReader(p.path, of.Seq)
	if err != nil {
		return Receipt{}, err
	}
	defer func() { _ = r.Close() }() // read only
	line, err := r.Next()
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s ends before record %d", p.path, of.Seq)
	}
	if err != nil {
		return Receipt{}, err
	}
	if sum := sha256.Sum256(line.Text); audit.HashText(sum) != of.Hash {
		return Receipt{}, inconsistent("record %d has another hash than the one that is asked for", of.Seq)
	}
	proof, err := p.disk.dir.Proof(c, of.Seq)
	return Receipt{Record: string(line.Text), Proof: proof}, err
}

// Seal gives the receipt of the last one of records that are to be removed from the log, as CheckCut reads it.
func (p *Publisher) Seal(last audit.Receipt) ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	r, err := p.Receipt(ctx, last)
	if err != nil {
		return nil, err
	}
	return r.seal()
}
