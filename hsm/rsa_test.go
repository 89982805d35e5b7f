package hsm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// eachRSA runs a test for each size, scheme and hash, with a key of that size: with vectors, where the processor has them, and without.
func eachRSA(t *testing.T, test func(*testing.T, *rsa.PrivateKey, *rsaCheck, SignMechanism)) {
	t.Helper()
	for _, bits := range []int{2048, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			key, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			usual := newRSACheck(&key.PublicKey)
			for h := range digestInfo {
				for _, s := range []Scheme{PKCS1v15, PSS} {
					m := SignMechanism{s, h}
					t.Run(m.String(), func(t *testing.T) {
						test(t, key, &rsaCheck{n: usual.n, e: usual.e}, m)
						if usual.vector != nil {
							test(t, key, usual, m)
						}
					})
				}
			}
		})
	}
}

func signRSA(t testing.TB, key *rsa.PrivateKey, m SignMechanism, digest []byte, salt int) []byte {
	t.Helper()
	sig, err := rsa.SignPKCS1v15(nil, key, m.Hash, digest)
	if m.Scheme == PSS {
		sig, err = rsa.SignPSS(rand.Reader, key, m.Hash, digest, &rsa.PSSOptions{SaltLength: salt})
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// same compares the check with crypto/rsa, and both with what is right.
func same(t *testing.T, c *rsaCheck, pub *rsa.PublicKey, m SignMechanism, digest, sig []byte, want bool, what string, args ...any) {
	t.Helper()
	got, theirs := c.verify(m, digest, sig), verify(pub, m, digest, sig)
	if got != want || theirs != want {
		t.Errorf("%s: %v, crypto/rsa says %v, want %v; signature %x", fmt.Sprintf(what, args...), got, theirs, want, sig)
	}
}

// The check answers as crypto/rsa does: for good signatures, changed ones, numbers out of range, other digests, hashes and schemes.
func TestRSACheckAgreesWithCryptoRSA(t *testing.T) {
	t.Parallel()
	eachRSA(t, func(t *testing.T, key *rsa.PrivateKey, c *rsaCheck, m SignMechanism) {
		digest, pub := random(t, m.Hash.Size()), &key.PublicKey
		sig := signRSA(t, key, m, digest, rsa.PSSSaltLengthEqualsHash)
		same(t, c, pub, m, digest, sig, true, "good")
		same(t, c, pub, m, random(t, m.Hash.Size()), sig, false, "another digest")
		for range 32 {
			bit := int(random(t, 1)[0])<<3 | int(random(t, 1)[0])&7
			changed := bytes.Clone(sig)
			changed[bit/8] ^= 1 << (bit % 8)
			same(t, c, pub, m, digest, changed, false, "bit %d flipped", bit)
		}
		one, number := big.NewInt(1), new(big.Int).SetBytes(sig)
		for i, n := range []*big.Int{new(big.Int), one, new(big.Int).Sub(pub.N, one), pub.N, new(big.Int).Add(pub.N, one), new(big.Int).Sub(pub.N, number)} {
			same(t, c, pub, m, digest, n.FillBytes(make([]byte, len(sig))), false, "edge %d", i)
		}
		if again := new(big.Int).Add(number, pub.N); again.BitLen() <= 8*len(sig) {
			same(t, c, pub, m, digest, again.FillBytes(make([]byte, len(sig))), false, "the signature plus the modulus")
		}
		for _, length := range [][]byte{nil, sig[1:], sig[:len(sig)-1], append([]byte{0}, sig...), append(bytes.Clone(sig), 0), bytes.Repeat([]byte{255}, len(sig))} {
			same(t, c, pub, m, digest, length, false, "%d bytes", len(length))
		}
		other := SignMechanism{PKCS1v15 + PSS - m.Scheme, m.Hash}
		same(t, c, pub, other, digest, sig, false, "the other scheme")
	})
}

// Signatures that the private key made of another encoding than the one that is due, each byte of it changed in turn.
func TestRSACheckRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	eachRSA(t, func(t *testing.T, key *rsa.PrivateKey, c *rsaCheck, m SignMechanism) {
		digest, pub := random(t, m.Hash.Size()), &key.PublicKey
		good := signRSA(t, key, m, digest, rsa.PSSSaltLengthEqualsHash)
		raw := func(em []byte) []byte {
			x := new(big.Int).SetBytes(em)
			return x.Exp(x.Mod(x, key.N), key.D, key.N).FillBytes(make([]byte, len(em)))
		}
		em := c.open(good)
		if !bytes.Equal(raw(em), good) {
			t.Fatal("the encoding is not what was signed")
		}
		step := len(em) / 16 // all of them would take minutes with the race detector
		for _, i := range slices.Concat([]int{1, 2, len(em) - 1}, []int{3, len(em) - 2, len(em) - m.Hash.Size() - 1, len(em) - m.Hash.Size() - 2, len(em) - 2*m.Hash.Size() - 2}) {
			changed := bytes.Clone(em)
			changed[i] ^= 1
			same(t, c, pub, m, digest, raw(changed), false, "byte %d changed", i)
		}
		for i := step; i < len(em); i += step {
			changed := bytes.Clone(em)
			changed[i]++
			same(t, c, pub, m, digest, raw(changed), false, "byte %d one more", i)
		}
		if m.Scheme == PSS {
			for _, salt := range []int{20, m.Hash.Size() - 1, m.Hash.Size() + 1, rsa.PSSSaltLengthAuto} { // the last is the longest
				same(t, c, pub, m, digest, signRSA(t, key, m, digest, salt), false, "salt of %d", salt)
			}
			for em[0] |= 0x80; new(big.Int).SetBytes(em).Cmp(pub.N) >= 0; em[0] |= 0x80 { // another salt until it is below the modulus
				em = c.open(signRSA(t, key, m, digest, rsa.PSSSaltLengthEqualsHash))
			}
			same(t, c, pub, m, digest, raw(em), false, "the highest bit set")
			return
		}
		for h := range digestInfo {
			if h != m.Hash {
				same(t, c, pub, m, digest, signRSA(t, key, SignMechanism{PKCS1v15, h}, random(t, h.Size()), 0), false, "another hash")
			}
		}
		// RFC 8017, 8.2.2, and D. Bleichenbacher, CRYPTO 2006: less padding and something after the digest; a digest without its DigestInfo.
		short := append(bytes.Clone(em[:2]), em[34:]...)
		same(t, c, pub, m, digest, raw(append(short, random(t, 32)...)), false, "something after the digest")
		bare := paddedPKCS1v15(0, digest, len(em))
		same(t, c, pub, m, digest, raw(bare), false, "no DigestInfo")
	})
}

// A key keeps its check, and one that crypto/rsa would judge otherwise goes there.
func TestRSACheckOfKeys(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	m := SignMechanism{PKCS1v15, crypto.SHA256}
	k := &Key{pub: &key.PublicKey, ref: ref{spec: RSA2048}}
	for range 3 {
		digest := random(t, 32)
		if !k.signed(m, digest, signRSA(t, key, m, digest, 0)) || k.signed(m, digest, random(t, 256)) {
			t.Fatal("wrong answer")
		}
	}
	if k.rsa.Load() == nil {
		t.Error("the key keeps no check")
	}
	even := new(big.Int).Sub(key.N, big.NewInt(1))
	for _, odd := range []*rsa.PublicKey{{N: even, E: 65537}, {N: key.N, E: 1}, {N: key.N, E: 4}, {N: new(big.Int).Rsh(key.N, 1), E: 65537}} {
		if newRSACheck(odd) != nil {
			t.Errorf("a check for exponent %d and a modulus of %d bits that ends in %d", odd.E, odd.N.BitLen(), odd.N.Bit(0))
		}
		k := &Key{pub: odd, ref: ref{spec: RSA2048}}
		if digest := random(t, 32); k.signed(m, digest, signRSA(t, key, m, digest, 0)) {
			t.Error("a signature of another key is accepted")
		}
	}
}

// sameExp compares s^65537 mod n with math/big.
func sameExp(t *testing.T, n, s *big.Int) {
	t.Helper()
	got, want := newRSAVector(n).exp65537(s), new(big.Int).Exp(s, big.NewInt(65537), n)
	if got.Cmp(n) >= 0 {
		got.Sub(got, n)
	}
	if got.Cmp(want) != 0 {
		t.Errorf("n=%x s=%x: %x, want %x", n, s, got, want)
	}
}

// Moduli and numbers at the edges of their ranges, where the carries are.
func TestRSAVectorAtTheEdges(t *testing.T) {
	t.Parallel()
	if !vectorRSA {
		t.Skip("this processor has no AVX-512 IFMA")
	}
	one := big.NewInt(1)
	for _, bits := range []uint{2048, 3072, 4096} {
		low, high := new(big.Int).Lsh(one, bits-1), new(big.Int).Lsh(one, bits)
		some := new(big.Int).SetBytes(random(t, int(bits/8)))
		some.SetBit(some.SetBit(some, 0, 1), int(bits-1), 1)
		for _, n := range []*big.Int{new(big.Int).Add(low, one), new(big.Int).Sub(high, one), new(big.Int).Sub(high, big.NewInt(1<<52-1)), some} {
			for _, s := range []*big.Int{new(big.Int), one, new(big.Int).Sub(n, one), new(big.Int).Rsh(n, 1), new(big.Int).Sub(n, low),
				new(big.Int).Mod(new(big.Int).Sub(new(big.Int).Lsh(one, bits-60), one), n), new(big.Int).Mod(new(big.Int).SetBytes(random(t, int(bits/8))), n)} {
				sameExp(t, n, s)
			}
		}
	}
}

func FuzzRSAVector(f *testing.F) {
	f.Add(random(f, 256), random(f, 256))
	f.Add(bytes.Repeat([]byte{255}, 512), random(f, 512))
	f.Fuzz(func(t *testing.T, modulus, number []byte) {
		bits := 2048 + 1024*(len(modulus)%3)
		if !vectorRSA || len(modulus) > bits/8 {
			return
		}
		n := new(big.Int).SetBytes(append(modulus, make([]byte, bits/8-len(modulus))...))
		n.SetBit(n.SetBit(n, 0, 1), bits-1, 1)
		s := new(big.Int).SetBytes(number)
		sameExp(t, n, s.Mod(s, n))
	})
}

func BenchmarkRSACheck(b *testing.B) {
	for _, bits := range []int{2048, 3072, 4096} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			b.Fatal(err)
		}
		c, digest, m := newRSACheck(&key.PublicKey), random(b, 32), SignMechanism{PKCS1v15, crypto.SHA256}
		sig := signRSA(b, key, m, digest, 0)
		b.Run(fmt.Sprintf("%d/check", bits), func(b *testing.B) {
			for b.Loop() {
				c.verify(m, digest, sig)
			}
		})
		b.Run(fmt.Sprintf("%d/crypto-rsa", bits), func(b *testing.B) {
			for b.Loop() {
				verify(&key.PublicKey, m, digest, sig)
			}
		})
	}
}
