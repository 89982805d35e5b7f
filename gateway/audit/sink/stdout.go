package sink

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// stdout writes lines to standard output. Whoever reads it may be slow or gone, so a goroutine of its own writes.
type stdout struct {
	out     *os.File
	pending chan error // of the write that is under way; nil for none
	broken  bool       // a write ended in the middle of a line, maybe
}

// newStdout takes a copy of the descriptor: a write to descriptor 1 whose reader is gone would end the process (SIGPIPE).
func newStdout() (*stdout, error) {
	fd, err := unix.FcntlInt(os.Stdout.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return &stdout{out: os.NewFile(uintptr(fd), "stdout")}, nil
}

// deliver waits for the write of the same batch, if an earlier try has begun it.
func (s *stdout) deliver(ctx context.Context, batch []message) error {
	if s.pending == nil {
		text := lines(batch, s.broken)
		s.pending = make(chan error, 1)
		go func(done chan<- error) {
			_, err := s.out.Write(text)
			done <- err
		}(s.pending)
	}
	select {
	case err := <-s.pending:
		s.pending, s.broken = nil, err != nil
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stdout) settle() error { return nil }

func (s *stdout) close() {} // a write may be under way

// lines joins messages, each with a newline behind it, after one that ends a broken line.
func lines(batch []message, broken bool) []byte {
	var text []byte
	if broken {
		text = append(text, '\n')
	}
	for _, m := range batch {
		text = append(append(text, m.text...), '\n')
	}
	return text
}
