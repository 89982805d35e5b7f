package hsm

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"filippo.io/edwards25519"
)

func ed25519Key(t testing.TB) (ed25519.PrivateKey, *ed25519Table) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	table, err := newEd25519Table(public)
	if err != nil {
		t.Fatal(err)
	}
	return private, table
}

// The table answers as crypto/ed25519 does: for good signatures, for each flipped bit, and for another message, key or length.
func TestEd25519TableAgreesWithCryptoEd25519(t *testing.T) {
	t.Parallel()
	for range 8 {
		key, table := ed25519Key(t)
		_, other := ed25519Key(t)
		for n := range 40 {
			message := random(t, n)
			sig := ed25519.Sign(key, message)
			if !table.verify(message, sig) {
				t.Fatalf("refused a good signature %x over %x", sig, message)
			}
			if other.verify(message, sig) || table.verify(random(t, n+1), sig) {
				t.Fatal("accepted a signature of another key or message")
			}
		}
		message := random(t, 100)
		sig := ed25519.Sign(key, message)
		for bit := range 8 * len(sig) {
			changed := bytes.Clone(sig)
			changed[bit/8] ^= 1 << (bit % 8)
			if table.verify(message, changed) {
				t.Fatalf("bit %d flipped: accepted", bit)
			}
		}
		for _, length := range [][]byte{nil, sig[:63], sig[1:], append(bytes.Clone(sig), 0), make([]byte, 64)} {
			if table.verify(message, length) {
				t.Errorf("accepted %d bytes", len(length))
			}
		}
	}
}

// S plus the order of the group is another spelling of the same signature, which is refused (RFC 8032, 5.1.7).
func TestEd25519TableRefusesOtherSpellings(t *testing.T) {
	t.Parallel()
	key, table := ed25519Key(t)
	message := random(t, 32)
	sig := ed25519.Sign(key, message)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	slices.Reverse(sig[32:])
	s := new(big.Int).SetBytes(sig[32:])
	for range 15 {
		if s.Add(s, order); s.BitLen() > 256 {
			break
		}
		again := s.FillBytes(make([]byte, 32))
		slices.Reverse(again)
		if changed := append(bytes.Clone(sig[:32]), again...); table.verify(message, changed) || ed25519.Verify(table.public, message, changed) {
			t.Errorf("S = %v: accepted", s)
		}
	}
}

// Public keys of small order, and R with a part of small order: whatever crypto/ed25519 says of them.
func TestEd25519TableAtTheEdges(t *testing.T) {
	t.Parallel()
	small := []string{ // all eight points whose order divides the cofactor, and y = p + 1, another spelling of the first
		"0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}
	accepted := 0
	for _, a := range small {
		public, _ := hex.DecodeString(a)
		table, err := newEd25519Table(public)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		for _, r := range small {
			point, _ := hex.DecodeString(r)
			part, err := new(edwards25519.Point).SetBytes(point)
			if err != nil {
				t.Fatal(err)
			}
			s, err := edwards25519.NewScalar().SetUniformBytes(random(t, 64))
			if err != nil {
				t.Fatal(err)
			}
			whole := new(edwards25519.Point).ScalarBaseMult(s)
			for n := range 8 {
				message := []byte{byte(n)}
				for _, sig := range [][]byte{append(whole.Add(whole, part).Bytes(), s.Bytes()...), append(bytes.Clone(point), make([]byte, 32)...)} {
					got, want := table.verify(message, sig), ed25519.Verify(public, message, sig)
					if got != want {
						t.Errorf("A=%s R=%x S=%x: %v, crypto/ed25519 says %v", a, sig[:32], sig[32:], got, want)
					}
					if got {
						accepted++
					}
				}
			}
		}
	}
	if accepted == 0 {
		t.Error("nothing was accepted: the test shows little")
	}
}

func FuzzEd25519Table(f *testing.F) {
	key, table := ed25519Key(f)
	f.Add([]byte("message"), ed25519.Sign(key, []byte("message")))
	f.Fuzz(func(t *testing.T, message, sig []byte) {
		if len(sig) != ed25519.SignatureSize { // crypto/ed25519 says no too
			sig = make([]byte, ed25519.SignatureSize)
		}
		if got, want := table.verify(message, sig), ed25519.Verify(table.public, message, sig); got != want {
			t.Fatalf("message %x signature %x: %v, crypto/ed25519 says %v", message, sig, got, want)
		}
	})
}

// A key gets its table with use, and the check goes on to answer rightly across the change.
func TestEd25519TableComesWithUse(t *testing.T) {
	t.Parallel()
	private, _ := ed25519Key(t)
	k := &Key{pub: private.Public(), ref: ref{spec: Edwards25519}}
	m := SignMechanism{Scheme: Ed25519}
	for i := range 2 * tableAfter {
		message := random(t, i)
		if !k.signed(m, message, ed25519.Sign(private, message)) || k.signed(m, message, random(t, 64)) {
			t.Fatalf("wrong answer at check %d", i)
		}
	}
	if k.ed25519.Load() == nil && tables.Load() < maxTables {
		t.Error("no table after many signatures")
	}
}

func BenchmarkEd25519Check(b *testing.B) {
	key, table := ed25519Key(b)
	message := random(b, 32)
	sig := ed25519.Sign(key, message)
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			table.verify(message, sig)
		}
	})
	b.Run("crypto-ed25519", func(b *testing.B) {
		for b.Loop() {
			ed25519.Verify(table.public, message, sig)
		}
	})
}
