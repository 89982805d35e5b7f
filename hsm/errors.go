package hsm

import (
	"fmt"
	"strings"
)

// Kind is what went wrong, for errors.Is: errors.Is(err, hsm.ErrBusy).
type Kind string

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string { return string(k) }

// The kinds of Error.
const (
	ErrUnavailable   Kind = "token unavailable"                // away, or coming back: try again later
	ErrBusy          Kind = "too many calls are waiting"       // the queue is full, or the wait in it was too long: try again later
	ErrTimeout       Kind = "the token did not answer in time" // is also ErrUnavailable
	ErrKeyMissing    Kind = "key material missing"             // no such object, or another key under its CKA_ID
	ErrUnsupported   Kind = "not supported by this token"
	ErrBadCiphertext Kind = "bad ciphertext"       // one single error for every way in which a ciphertext can be bad
	ErrPINRefused    Kind = "PIN refused"          // never tried again until the PIN file changes
	ErrUnprotected   Kind = "key is not protected" // not SENSITIVE, or EXTRACTABLE
	ErrTokenFull     Kind = "token is full"
	ErrInvalid       Kind = "invalid"          // the caller's own mistake: digest length, mechanism, key spec
	ErrFailed        Kind = "the token failed" // any other refusal of the token, named by RV
)

// Error is the error of every function of this package.
type Error struct {
	Kind   Kind
	Op     string // what was being done: "sign", "open", "generate" …
	RV     uint   // the PKCS#11 return value, 0 where there was none
	Detail string // what is wrong
	Advice string // what to do about it

	cause error // context.Canceled or context.DeadlineExceeded, where the caller's context ended
}

// Unwrap gives the context's error where the caller's context ended the wait.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("hsm: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(string(e.Kind))
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.RV != 0 {
		fmt.Fprintf(&b, " (%s)", rvName(e.RV))
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Is matches the Kind; a timeout is an unavailability too.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && (k == e.Kind || e.Kind == ErrTimeout && k == ErrUnavailable)
}
