package audit

import (
	"errors"
	"fmt"
)

// Kinds of error, for errors.Is. Every error of Open, OpenReader and Append is an *Error of one of these kinds.
var (
	// ErrNotDurable: the record is not, or not surely, on the disk. What it is about must not leave the process.
	ErrNotDurable = errors.New("audit record is not durable")
	// ErrDamaged: log and head do not agree, or the end of the log is not as the log writes it. Nothing was changed.
	ErrDamaged = errors.New("audit log is damaged")
	// ErrInUse: another process writes this log.
	ErrInUse = errors.New("audit log is in use")
	// ErrUnusable: the path cannot be a log: permissions, a missing folder, not a regular file.
	ErrUnusable = errors.New("audit log cannot be used")
	// ErrRemoved: retention has removed the record.
	ErrRemoved = errors.New("audit record was removed by retention")
)

// Error says what is wrong with the log and what to do.
type Error struct {
	Kind   error  // one of the kinds above
	Detail string // what is wrong, with the path and the record numbers
	Advice string // what to do
	Cause  error  // the system's error or the context's, or nil
}

func (e *Error) Error() string {
	s := e.Kind.Error() + ": " + e.Detail
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return s
}

// both says two errors on one line.
func both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; and %w", a, b)
}

// Unwrap lets errors.Is see the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}
