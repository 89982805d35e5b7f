package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// tell wakes who waits for records.
func (l *Log) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
}

// Wait returns when there is a durable record after the record with the number after, and gives the last one. The
// error is that of the context, or ErrNotDurable when the log is closed and there is none.
func (l *Log) Wait(ctx context.Context, after uint64) (Receipt, error) {
	for {
		l.mu.Lock()
		head := l.shown.Head
		if head.Seq > after {
			l.mu.Unlock()
			return head, nil
		}
		if l.news == nil {
			l.news = make(chan struct{})
		}
		news := l.news
		l.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return head, ctx.Err()
		case <-l.done:
			if last := l.Head(); last.Seq > after {
				return last, nil
			}
			return head, errClosed()
		}
	}
}

// A batch of Follow is closed at these bounds.
const (
	followRecords = 1000
	followBytes   = 1 << 20
)

// lull is how long Follow lets records come together. To wake for each of them would cost as much as to sign it, at
// the time when its caller is to be answered.
const lull = 5 * time.Millisecond

// Follow gives deliver the durable records after the record with the number after, in order and each once, in batches,
// and waits for more until the context ends or the log is closed, which is no error. The lines are good until deliver
// returns, and not to be changed; its error ends Follow. What deliver does is in nobody's way: no caller of Append waits
// for it.
func (l *Log) Follow(ctx context.Context, after uint64, deliver func([]Line) error) error {
	f := follower{log: l, after: after}
	if err := f.open(); err != nil {
		return err
	}
	defer f.close()
	for {
		head, err := l.Wait(ctx, f.after)
		if err != nil {
			return ended(ctx, err)
		}
		if l.rest(ctx, lull); ctx.Err() != nil {
			return nil
		}
		for f.after < head.Seq {
			batch, err := f.batch(head.Seq)
			if err != nil {
				return err
			}
			if err := deliver(batch); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
		}
	}
}

// rest waits, unless the end has come.
func (l *Log) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.done:
	}
}

// follower is a place in the log. Who is close behind has his records from memory, others from the files.
type follower struct {
	log   *Log
	after uint64
	sum   hash // of the record after, if known
	known bool
	files *Reader // nil while the records come from memory
}

func (f *follower) open() (err error) {
	if f.files, err = OpenReader(f.log.path, f.after+1); err == nil && f.known {
		f.files.sum, f.files.known = f.sum, true
	}
	return err
}

func (f *follower) close() {
	if f.files != nil {
		_ = f.files.Close() // read only
		f.files = nil
	}
}

// batch gives the next records; from the files up to the record last, which is durable.
func (f *follower) batch(last uint64) (lines []Line, err error) {
	f.log.mu.Lock()
	lines = f.log.recent.after(f.after)
	f.log.mu.Unlock()
	if lines != nil && f.known && lines[0].Prev != f.sum {
		lines = nil // the files tell what is wrong
	}
	if lines != nil {
		f.close()
	} else if lines, err = f.read(last); err != nil {
		return nil, err
	}
	end := lines[len(lines)-1]
	f.after, f.sum, f.known = end.Seq, end.Hash, true
	return lines, nil
}

func (f *follower) read(last uint64) ([]Line, error) {
	if f.files == nil {
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	return f.files.batch(last)
}

// ended tells an end that was wanted from one that was not.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrNotDurable) {
		return nil //nolint:nilerr // wanted
	}
	return err
}

// batch reads records up to the record last, which is in the log. They are good until the next batch, whose memory is the same.
func (r *Reader) batch(last uint64) ([]Line, error) {
	lines, text := r.lines[:0], r.lineText[:0]
	for len(lines) < followRecords && len(text) < followBytes && r.next <= last {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			if line, err = r.Next(); errors.Is(err, io.EOF) { // once more: the file may have been replaced
				err = &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s ends before record %d", r.path, r.next), Advice: diskAdvice}
			}
		}
		if err != nil {
			return nil, err
		}
		start := len(text)
		text = append(text, line.Text...)
		line.Text = text[start:len(text):len(text)]
		lines = append(lines, line)
	}
	r.lines, r.lineText = lines, text
	if r.next > last {
		return lines, r.src.forget() // what comes after is not durable yet
	}
	return lines, nil
}
