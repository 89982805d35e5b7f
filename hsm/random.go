package hsm

import (
	"context"
	"fmt"

	"github.com/miekg/pkcs11"
)

const (
	randomLeast = 16   // asked for in one call: enough to tell all zeros from chance
	randomMost  = 1024 // kmsp11 takes 8 to 1024
	randomName  = "RANDOM"
)

// Random returns n random bytes (1 byte to 64 KiB) of the token's generator. ErrUnsupported where it has none.
func (t *Token) Random(ctx context.Context, n int) ([]byte, error) {
	if n < 1 || n > maxInput {
		return nil, &Error{Kind: ErrInvalid, Op: "random", Detail: fmt.Sprintf("gives 1 to %d bytes", maxInput)}
	}
	if err := t.able(randomName); err != nil {
		return nil, withOp("random", err)
	}
	g, err := t.current("random")
	if err != nil {
		return nil, err
	}
	var out []byte // written by the worker; not touched here unless the call came to its end
	err = g.call(ctx, g.sign, callRandom, t.limits(), func(s *session) (err error) {
		out, err = s.random(n)
		return err
	})
	if err != nil {
		return nil, t.explain(ctx, g, "random", err)
	}
	return out, nil
}

// random asks for it in pieces that every module takes, and takes no piece that is all zero.
func (s *session) random(n int) ([]byte, error) {
	out := make([]byte, 0, n+randomLeast)
	for len(out) < n {
		piece := out[len(out) : len(out)+max(min(n-len(out), randomMost), randomLeast)]
		if rv := s.fill(piece); rv != pkcs11.CKR_OK {
			return nil, pkcs11.Error(rv)
		}
		if allZero(piece) {
			return nil, &Error{Kind: ErrFailed, Op: "random", Detail: "the token's random numbers are all zero"}
		}
		out = out[:len(out)+len(piece)]
	}
	clear(out[n:])
	return out[:n:n], nil
}

func (s *session) fill(out []byte) uint {
	if s.list != nil {
		return fastRandom(s.list, uint(s.h), out)
	}
	b, err := s.ctx.GenerateRandom(s.h, len(out))
	copy(out, b)
	clear(b)
	return rvOf(err)
}
