package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	growAfter = 16 // deliveries of full size that went well: the next ones may be twice as large
	oneRefuse = 3  // refusals of a single record before a line in its place is tried
)

// deliver tries until the first messages of the batch, up to the limit, have arrived, and says how many these were. What
// is refused is made smaller until one record is left, so that the others go on; what takes too long is, too, since a
// slow server may have the time for less.
func (s *sink) deliver(ctx context.Context, batch []message) (int, error) {
	refused := 0 // times, of the first one alone
	for try := 0; ; try++ {
		n := min(len(batch), s.limit)
		err := s.send(ctx, batch[:n])
		switch {
		case err == nil:
			s.works()
			s.grow(n)
			return n, nil
		case ctx.Err() != nil:
			return 0, errEnded
		case isRefusal(err) && n > 1:
			s.limit, s.full = n/2, 0
			if !errors.Is(err, errTooLarge) {
				s.fails(err)
			}
			continue
		case isRefusal(err):
			if refused++; refused >= oneRefuse && s.deliverStub(ctx, batch[0], err) {
				return 1, nil
			}
		case errors.Is(err, context.DeadlineExceeded):
			s.limit, s.full = max(n/2, 1), 0
		}
		s.fails(err)
		if !s.wait(ctx, pauseAfter(err, try, refused)) {
			return 0, errEnded
		}
	}
}

func (s *sink) send(ctx context.Context, batch []message) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	return s.to.deliver(ctx, batch)
}

// grow makes the limit larger again. A server that refuses as much for good costs one request in growAfter.
func (s *sink) grow(n int) {
	if n < s.limit {
		return // shows nothing
	}
	if s.full++; s.full >= growAfter {
		s.limit, s.full = min(2*s.limit, s.most), 0
	}
}

// deliverStub sends a line in the place of a record that was refused, and answers whether either has arrived. It is for the
// record's sake only if the server takes the line and then refuses the record again: else it may have been mended meanwhile.
func (s *sink) deliverStub(ctx context.Context, m message, why error) bool {
	member := "refused"
	if errors.Is(why, errTooLarge) {
		member = "tooLong"
	}
	if s.send(ctx, []message{m.stub(member)}) != nil {
		return false // the server is what is wrong, not the record
	}
	switch err := s.send(ctx, []message{m}); {
	case err == nil:
	case isRefusal(err):
		s.replaced.Inc()
		s.zap.Error("the server takes a record in no form: a line with its number and hash went in its place", zap.Uint64("seq", m.Seq), zap.Error(why))
	default:
		return false
	}
	s.works()
	return true
}

// stub is a line in the place of the record: where it is, and how long under the name of what is wrong.
func (m message) stub(wrong string) message {
	m.text = fmt.Appendf(nil, `{"seq":%d,"hash":"%x","%s":%d}`, m.Seq, m.Hash, wrong, len(m.text))
	return m
}

func isRefusal(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) || errors.Is(err, errTooLarge)
}

// pauseAfter is how long to wait after the try with that number; refused is how often a single record was refused.
func pauseAfter(err error, try, refused int) time.Duration {
	var asked *later
	switch {
	case errors.As(err, &asked) && asked.after > 0:
		return min(asked.after, longest)
	case isRefusal(err) && 0 < refused && refused < oneRefuse:
		return backoff(refused)
	case isRefusal(err):
		return backoff(1 << 10)
	}
	return backoff(try)
}

// backoff doubles up to the longest, less a random part, so that daemons do not come together.
func backoff(try int) time.Duration {
	d := lastRetry
	if try < 20 {
		d = min(firstRetry<<try, lastRetry)
	}
	return d - time.Duration(rand.Int64N(int64(d/2))) //nolint:gosec // no secret
}
