package hsm_test

import (
	"context"
	"crypto"
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

var ctx = context.Background()

var (
	p256     = hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: crypto.SHA256}
	rsaPKCS1 = hsm.SignMechanism{Scheme: hsm.PKCS1v15, Hash: crypto.SHA256}
	ed25519m = hsm.SignMechanism{Scheme: hsm.Ed25519}
)

func digest(h crypto.Hash, msg string) []byte {
	d := h.New()
	d.Write([]byte(msg))
	return d.Sum(nil)
}

func TestSoftHSM(t *testing.T) {
	t.Parallel()
	hsmtest.TestToken(t, hsmtest.NewToken(t))
}

// A Token closed and opened again finds its keys; two Tokens on one token find the login of the other.
func TestOpenAgain(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	first := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, first, hsm.NISTP256, hsm.UseSign)
	second := hsmtest.Open(t, c)
	for _, tok := range []*hsm.Token{first, second} {
		if _, err := tok.Sign(ctx, k, p256, digest(crypto.SHA256, "a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Sign(ctx, k, p256, digest(crypto.SHA256, "a")); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("a closed Token signs: %v", err)
	}
	if _, err := second.Sign(ctx, k, p256, digest(crypto.SHA256, "a")); err != nil {
		t.Fatal(err)
	}
}
