package hsm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func p256Key(t testing.TB) (*ecdsa.PrivateKey, *p256Table) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	table, err := newP256Table(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, table
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// The table answers as crypto/ecdsa does: for good signatures, for each flipped bit, and for another digest or key.
func TestP256TableAgreesWithCryptoECDSA(t *testing.T) {
	t.Parallel()
	for range 8 {
		key, table := p256Key(t)
		_, other := p256Key(t)
		for range 40 {
			digest := random(t, 32)
			sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
			if err != nil {
				t.Fatal(err)
			}
			if !table.verify(digest, sig) {
				t.Fatalf("refused a good signature %x over %x", sig, digest)
			}
			if other.verify(digest, sig) || table.verify(random(t, 32), sig) {
				t.Fatal("accepted a signature of another key or digest")
			}
		}
		digest := random(t, 64) // longer than the order: its first 256 bits count
		sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(sig) {
			changed := bytes.Clone(sig)
			changed[bit/8] ^= 1 << (bit % 8)
			if got, want := table.verify(digest, changed), ecdsa.VerifyASN1(&key.PublicKey, digest, changed); got != want {
				t.Fatalf("bit %d flipped: %v, crypto/ecdsa says %v", bit, got, want)
			}
		}
	}
}

// A good signature has one r and one s: the same plus the order is another spelling, which is refused.
func TestP256TableRefusesOtherSpellings(t *testing.T) {
	t.Parallel()
	key, table := p256Key(t)
	digest := random(t, 32)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		t.Fatal(err)
	}
	zero := new(big.Int)
	for _, c := range []struct {
		r, s *big.Int
		want bool
	}{{zero, zero, true}, {p256Order, zero, false}, {zero, p256Order, false}} {
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(new(big.Int).Add(r, c.r))
			b.AddASN1BigInt(new(big.Int).Add(s, c.s))
		})
		sig := b.BytesOrPanic()
		if got := table.verify(digest, sig); got != c.want || got != ecdsa.VerifyASN1(&key.PublicKey, digest, sig) {
			t.Errorf("r+%v, s+%v: %v, want %v", c.r, c.s, got, c.want)
		}
	}
}

// Values of r, s and the digest at the edges of their ranges.
func TestP256TableAtTheEdges(t *testing.T) {
	t.Parallel()
	key, table := p256Key(t)
	n := p256Order
	edges := []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(2), new(big.Int).Sub(n, big.NewInt(1)), n, new(big.Int).Add(n, big.NewInt(1)),
		new(big.Int).Rsh(n, 1), new(big.Int).Lsh(n, 1), elliptic.P256().Params().P, big.NewInt(-1), new(big.Int).SetBytes(random(t, 32))}
	digests := [][]byte{make([]byte, 32), bytes.Repeat([]byte{255}, 32), n.Bytes(), random(t, 32)}
	for _, digest := range digests {
		for _, r := range edges {
			for _, s := range edges {
				var b cryptobyte.Builder
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1BigInt(r); b.AddASN1BigInt(s) })
				sig := b.BytesOrPanic()
				if got, want := table.verify(digest, sig), ecdsa.VerifyASN1(&key.PublicKey, digest, sig); got != want {
					t.Errorf("r=%v s=%v digest=%x: %v, crypto/ecdsa says %v", r, s, digest, got, want)
				}
			}
		}
	}
}

func FuzzP256Table(f *testing.F) {
	key, table := p256Key(f)
	digest := random(f, 32)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(digest, sig)
	f.Fuzz(func(t *testing.T, digest, sig []byte) {
		if len(digest) < 32 {
			return
		}
		if got, want := table.verify(digest, sig), ecdsa.VerifyASN1(&key.PublicKey, digest, sig); got != want {
			t.Fatalf("digest %x signature %x: %v, crypto/ecdsa says %v", digest, sig, got, want)
		}
	})
}

// A key gets its table with use, and the check goes on to answer rightly across the change.
func TestP256TableComesWithUse(t *testing.T) {
	t.Parallel()
	private, _ := p256Key(t)
	k := &Key{pub: &private.PublicKey}
	for i := range 2 * tableAfter {
		digest := random(t, 32)
		sig, err := ecdsa.SignASN1(rand.Reader, private, digest)
		if err != nil {
			t.Fatal(err)
		}
		if !k.checkP256(&private.PublicKey, digest, sig) || k.checkP256(&private.PublicKey, random(t, 32), sig) {
			t.Fatalf("wrong answer at check %d", i)
		}
	}
	if k.p256.Load() == nil {
		t.Error("no table after many signatures")
	}
}

// The number of tables is bounded, and the tables of keys that are gone make room for others.
func TestP256TablesAreBounded(t *testing.T) { // not parallel: it takes all the room
	private, _ := p256Key(t)
	take := func() *p256Table {
		return takeTable(func() (*p256Table, error) { return newP256Table(&private.PublicKey) })
	}
	kept := make([]*p256Table, 0, maxTables)
	for table := take(); table != nil; table = take() {
		kept = append(kept, table)
	}
	if len(kept) == 0 || len(kept) > maxTables || int(tables.Load()) != maxTables {
		t.Errorf("%d tables, %d counted", len(kept), tables.Load())
	}
	clear(kept)
	for deadline := time.Now().Add(time.Minute); take() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no room for a table after all are gone")
		}
		runtime.GC()
	}
}

func BenchmarkP256Check(b *testing.B) {
	key, table := p256Key(b)
	digest := random(b, 32)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			table.verify(digest, sig)
		}
	})
	b.Run("crypto-ecdsa", func(b *testing.B) {
		for b.Loop() {
			ecdsa.VerifyASN1(&key.PublicKey, digest, sig)
		}
	})
}
