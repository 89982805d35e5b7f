package format_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// TestRawLongMessage: the signature of the beginning of a file is not one of the file.
func TestRawLongMessage(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	trust := format.Trust{Keys: []crypto.PublicKey{public}}
	for size, good := range map[int]bool{4096: true, 4097: false} {
		message := bytes.Repeat([]byte("x"), size)
		signature := ed25519.Sign(private, message)
		err := format.Raw.Verify(&trust, file(t, "app", message), bytes.NewReader(signature))
		if (err == nil) != good || err != nil && !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%d bytes: %v", size, err)
		}
		longer := file(t, "app", append(message, " and more"...))
		if err := format.Raw.Verify(&trust, longer, bytes.NewReader(signature)); !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%d bytes and more: %v", size, err)
		}
	}
}
