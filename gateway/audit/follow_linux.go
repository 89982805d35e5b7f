package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// tell wakes who waits for records. The caller holds l.mu.
func (l *Log) tell() {
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

// Follow gives deliver the durable records after the record with the number after, in order and each once, in batches,
// and waits for more until the context ends or the log is closed, which is no error. The lines are good until deliver
// returns; its error ends Follow. What deliver does is in nobody's way: no caller of Append waits for it.
func (l *Log) Follow(ctx context.Context, after uint64, deliver func([]Line) error) error {
	r, err := OpenReader(l.path, after+1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
	for {
		head, err := l.Wait(ctx, after)
		if err != nil {
			return ended(ctx, err)
		}
		for after < head.Seq {
			batch, err := r.batch(head.Seq)
			if err != nil {
				return err
			}
			if err := deliver(batch); err != nil {
				return err
			}
			after = batch[len(batch)-1].Seq
			if ctx.Err() != nil {
				return nil
			}
		}
	}
}

// ended tells an end that was wanted from one that was not.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrNotDurable) {
		return nil
	}
	return err
}

// batch reads records up to the record last, which is in the log.
func (r *Reader) batch(last uint64) ([]Line, error) {
	var lines []Line
	var text []byte
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
	if r.next > last {
		return lines, r.src.forget() // what comes after is not durable yet
	}
	return lines, nil
}
