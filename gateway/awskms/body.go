package awskms

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// MaxBody is the most bytes that the body of a request may have. The largest
// request of AWS KMS, CreateKey with its policy, stays below.
const MaxBody = 256 << 10

const (
	// maxHeld bounds, twice, the bytes of bodies that this process holds for
	// senders whom it does not know yet: usual bodies, and what large ones have
	// beyond a usual one. Whoever fills the second leaves room for usual requests.
	maxHeld = 64 << 20
	// usualBody is what nearly all bodies are shorter than.
	usualBody = 16 << 10
	retryFull = time.Second
)

// room is the memory for bodies of senders who are not known.
type room struct{ usual, large *semaphore.Weighted }

func newRoom(most int64) *room {
	return &room{semaphore.NewWeighted(most), semaphore.NewWeighted(most)}
}

// held is the room of all handlers: a process has one memory.
var held = newRoom(maxHeld)

// readUnknown reads a body of at most most bytes in room. It takes room by what
// has come, not by what is announced; release gives it back.
func (m *room) readUnknown(r *http.Request, most int64) (body []byte, release func(), refused *api.Error) {
	var usual, large int64
	release = func() {
		m.usual.Release(usual)
		m.large.Release(large)
		usual, large = 0, 0
	}
	if r.ContentLength > most {
		return nil, release, tooLarge(most)
	}
	var b bytes.Buffer
	for {
		of, taken := m.large, &large
		if b.Len() == 0 {
			of, taken = m.usual, &usual
		}
		if !of.TryAcquire(usualBody) {
			release()
			return nil, release, full()
		}
		*taken += usualBody
		if done, err := readPart(&b, r.Body, min(usualBody, most+1-int64(b.Len())), most); done || err != nil {
			if err != nil {
				release()
			}
			return b.Bytes(), release, err
		}
	}
}

// readBody reads a body of at most most bytes of a sender who is known.
func readBody(r *http.Request, most int64) ([]byte, *api.Error) {
	if r.ContentLength > most {
		return nil, tooLarge(most)
	}
	var b bytes.Buffer
	_, err := readPart(&b, r.Body, most+1, most)
	return b.Bytes(), err
}

// readPart reads on, by at most n bytes, and says whether the body has ended.
func readPart(b *bytes.Buffer, from io.Reader, n, most int64) (done bool, refused *api.Error) {
	_, err := io.CopyN(b, from, n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return false, cutShort(err)
	case int64(b.Len()) > most:
		return false, tooLarge(most)
	}
	return err != nil, nil
}

func tooLarge(most int64) *api.Error {
	return api.Errorf(api.RequestEntityTooLarge, "The body of a request has at most %d bytes. Hash a larger message and sign it with MessageType DIGEST.", most)
}

func full() *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: retryFull, Message: "The gateway has no room for another body now. Try again."}
}

func cutShort(cause error) *api.Error {
	e := api.Errorf(api.Serialization, "The body ended before it was complete. Send it again.")
	e.Cause = cause
	return e
}
