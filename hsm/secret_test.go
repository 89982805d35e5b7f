package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// bySecret has the hash of each spec; 0 is AES.
var bySecret = map[hsm.KeySpec]crypto.Hash{hsm.Symmetric: 0, hsm.HMAC224: crypto.SHA224, hsm.HMAC256: crypto.SHA256, hsm.HMAC384: crypto.SHA384,
	hsm.HMAC512: crypto.SHA512}

func mac(h crypto.Hash, key, msg []byte) []byte {
	m := hmac.New(h.New, key)
	m.Write(msg)
	return m.Sum(nil)
}

func aead(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// check computes in Go what GenerateSecret would have given for a key of this value.
func check(t *testing.T, spec hsm.KeySpec, key []byte) []byte {
	t.Helper()
	if h := bySecret[spec]; h != 0 {
		return mac(h, key, []byte(hsm.CheckText))
	}
	iv := make([]byte, 12)
	rand.Read(iv)
	return append(append([]byte{12}, iv...), aead(t, key).Seal(nil, iv, []byte(hsm.CheckText), []byte(hsm.CheckText))...)
}

// put has the token hold a secret key of a known value, beside our own code: the login is the process's.
func put(t *testing.T, tok *hsm.Token, id []byte, spec hsm.KeySpec, key []byte, extractable bool) {
	t.Helper()
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other := pkcs11.New(info.Module)
	s, err := other.OpenSession(info.Slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	defer other.CloseSession(s)
	typ, cipher := uint(pkcs11.CKK_GENERIC_SECRET), spec == hsm.Symmetric
	if cipher {
		typ = pkcs11.CKK_AES
	}
	_, err = other.CreateObject(s, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, typ),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, extractable), pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, cipher), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, cipher),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, !cipher), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, !cipher),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_VALUE, key),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// known is a secret key whose value the test knows.
func known(t *testing.T, tok *hsm.Token, spec hsm.KeySpec) (*hsm.Secret, []byte) {
	t.Helper()
	size := 32
	if h := bySecret[spec]; h != 0 {
		size = h.Size()
	}
	key, id := make([]byte, size), hsm.NewID()
	rand.Read(key)
	put(t, tok, id, spec, key, false)
	s, err := hsm.NewSecret(id, spec, check(t, spec, key))
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

// What the token computes is what Go computes with the same key, and each decrypts the other's.
func TestSecretsAgainstGo(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	for spec, h := range bySecret {
		s, key := known(t, tok, spec)
		for _, size := range []int{1, 16, 100, 4096, 64 << 10} {
			msg, aad := make([]byte, size), []byte(fmt.Sprint("aad of ", size))
			rand.Read(msg)
			if h != 0 {
				got, err := tok.MAC(ctx, s, msg)
				if err != nil || !bytes.Equal(got, mac(h, key, msg)) {
					t.Errorf("%s, %d bytes: %x, %v", spec, size, got, err)
				}
				continue
			}
			iv, ct, err := tok.EncryptGCM(ctx, s, msg, aad)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := aead(t, key).Open(nil, iv, ct, aad); err != nil || !bytes.Equal(got, msg) {
				t.Errorf("%d bytes, in Go: %v", size, err)
			}
			rand.Read(iv)
			got, err := tok.DecryptGCM(ctx, s, iv, aead(t, key).Seal(nil, iv, msg, aad), aad)
			if err != nil || !bytes.Equal(got, msg) {
				t.Errorf("%d bytes, from Go: %v", size, err)
			}
		}
	}
}

// Everything that can be wrong is one answer, to the letter, and costs no session.
func TestBadGCM(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	s, other := hsmtest.NewSecret(t, tok, hsm.Symmetric), hsmtest.NewSecret(t, tok, hsm.Symmetric)
	iv, ct, err := tok.EncryptGCM(ctx, s, []byte("secret"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	otherIV, otherCT, err := tok.EncryptGCM(ctx, other, []byte("secret"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x80
		return b
	}
	aad := []byte("aad")
	before := tok.Stats()
	for name, c := range map[string][3][]byte{
		"first byte":         {iv, flip(ct, 0), aad},
		"tag":                {iv, flip(ct, len(ct)-1), aad},
		"cut":                {iv, ct[:len(ct)-1], aad},
		"longer":             {iv, append(bytes.Clone(ct), 0), aad},
		"the tag alone":      {iv, ct[len(ct)-16:], aad},
		"shorter than a tag": {iv, ct[:15], aad},
		"empty":              {iv, nil, aad},
		"too long":           {iv, make([]byte, 64<<10+17), aad},
		"other IV":           {flip(iv, 0), ct, aad},
		"no IV":              {nil, ct, aad},
		"short IV":           {iv[:11], ct, aad},
		"IV of 16 bytes":     {append(bytes.Clone(iv), 0, 0, 0, 1), ct, aad},
		"IV too long":        {make([]byte, 17), ct, aad},
		"no aad":             {iv, ct, nil},
		"other aad":          {iv, ct, []byte("aae")},
		"aad too long":       {iv, ct, make([]byte, 64<<10+1)},
		"another key's":      {otherIV, otherCT, aad},
	} {
		pt, err := tok.DecryptGCM(ctx, s, c[0], c[1], c[2])
		if !errors.Is(err, hsm.ErrBadCiphertext) || pt != nil || err.Error() != "hsm: decrypt: bad ciphertext" {
			t.Errorf("%s: %q, %v", name, pt, err)
		}
	}
	if pt, err := tok.DecryptGCM(ctx, s, iv, ct, aad); err != nil || string(pt) != "secret" {
		t.Errorf("%q, %v", pt, err)
	}
	if after := tok.Stats(); after.Replaced != before.Replaced || after.Recoveries != 0 {
		t.Errorf("bad ciphertexts cost sessions: %+v", after)
	}
}

// The caller's own mistakes are told before the token is asked.
func TestSecretMistakes(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	aesKey, macKey := hsmtest.NewSecret(t, tok, hsm.Symmetric), hsmtest.NewSecret(t, tok, hsm.HMAC256)
	long := make([]byte, 64<<10+1)
	for name, call := range map[string]func() error{
		"nothing to encrypt":  func() error { _, _, err := tok.EncryptGCM(ctx, aesKey, nil, nil); return err },
		"too much to encrypt": func() error { _, _, err := tok.EncryptGCM(ctx, aesKey, long, nil); return err },
		"too long aad":        func() error { _, _, err := tok.EncryptGCM(ctx, aesKey, []byte("a"), long); return err },
		"encrypt by HMAC":     func() error { _, _, err := tok.EncryptGCM(ctx, macKey, []byte("a"), nil); return err },
		"decrypt by HMAC": func() error {
			_, err := tok.DecryptGCM(ctx, macKey, make([]byte, 12), make([]byte, 20), nil)
			return err
		},
		"MAC by AES":           func() error { _, err := tok.MAC(ctx, aesKey, nil); return err },
		"too long for a MAC":   func() error { _, err := tok.MAC(ctx, macKey, long); return err },
		"a pair as a secret":   func() error { _, err := tok.GenerateSecret(ctx, hsm.NISTP256, hsm.NewID(), ""); return err },
		"a secret as a pair":   func() error { _, err := tok.Generate(ctx, hsm.Symmetric, hsm.UseCipher, hsm.NewID(), ""); return err },
		"no CKA_ID":            func() error { _, err := tok.GenerateSecret(ctx, hsm.HMAC256, nil, ""); return err },
		"a CKA_ID in use":      func() error { _, err := tok.GenerateSecret(ctx, hsm.HMAC256, aesKey.ID(), ""); return err },
		"AES for MAC":          func() error { return tok.Supports(hsm.Symmetric, hsm.UseMAC) },
		"a pair for MAC":       func() error { return tok.Supports(hsm.NISTP256, hsm.UseMAC) },
		"RSA for ECDH":         func() error { return tok.Supports(hsm.RSA2048, hsm.UseAgree) },
		"secp256k1 for ECDH":   func() error { return tok.Supports(hsm.SECGP256K1, hsm.UseAgree) },
		"a secret's check":     func() error { _, err := hsm.NewSecret(hsm.NewID(), hsm.HMAC256, make([]byte, 31)); return err },
		"an AES check":         func() error { _, err := hsm.NewSecret(hsm.NewID(), hsm.Symmetric, []byte{12}); return err },
		"an AES check's IV":    func() error { _, err := hsm.NewSecret(hsm.NewID(), hsm.Symmetric, make([]byte, 100)); return err },
		"a secret without id":  func() error { _, err := hsm.NewSecret(nil, hsm.HMAC256, make([]byte, 32)); return err },
		"NewSecret for a pair": func() error { _, err := hsm.NewSecret(hsm.NewID(), hsm.RSA2048, make([]byte, 32)); return err },
	} {
		if err := call(); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := hsmtest.NewToken(t)
	bad.GCMIV = "zero"
	if _, err := hsm.Open(ctx, bad); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("gcm_iv: zero: %v", err)
	}
}

// Another key under the CKA_ID is found out before it is used; so are duplicates, a pair beside it, and a key that is not protected.
func TestWrongSecrets(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	use := func(tok *hsm.Token, s *hsm.Secret) error {
		if s.Spec() == hsm.Symmetric {
			_, _, err := tok.EncryptGCM(ctx, s, []byte("a"), nil)
			return err
		}
		_, err := tok.MAC(ctx, s, []byte("a"))
		return err
	}
	for spec := range bySecret {
		s, key := known(t, tok, spec)
		if err := use(tok, s); err != nil {
			t.Fatal(err)
		}
		for other := range bySecret { // the same length, and another; the same type, and another
			_, value := known(t, tok, other)
			wrong, err := hsm.NewSecret(s.ID(), other, check(t, other, value))
			if err != nil {
				t.Fatal(err)
			}
			if err := use(tok, wrong); !errors.Is(err, hsm.ErrKeyMissing) || !strings.Contains(fmt.Sprint(err), "another key under this CKA_ID") {
				t.Errorf("%s for %s: %v", spec, other, err)
			}
		}
		if err := use(tok, s); err != nil {
			t.Errorf("%s: the right one afterwards: %v", spec, err)
		}
		put(t, tok, s.ID(), spec, key, false)
		again := hsmtest.Open(t, c) // lists the objects anew
		if err := use(again, s); !errors.Is(err, hsm.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "2 secret") {
			t.Errorf("%s twice: %v", spec, err)
		}
		if err := again.Destroy(ctx, s.ID()); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("destroying one of two: %v", err)
		}
		id := hsm.NewID()
		put(t, tok, id, spec, key, true)
		open, err := hsm.NewSecret(id, spec, check(t, spec, key))
		if err != nil {
			t.Fatal(err)
		}
		if err := use(tok, open); !errors.Is(err, hsm.ErrUnprotected) {
			t.Errorf("%s, extractable: %v", spec, err)
		}
	}
	pair := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	noPair, err := hsm.NewSecret(pair.ID(), hsm.HMAC256, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if err := use(tok, noPair); !errors.Is(err, hsm.ErrKeyMissing) {
		t.Errorf("a pair for a secret key: %v", err)
	}
	if _, err := tok.Sign(ctx, pair, p256, digest(crypto.SHA256, "a")); err != nil {
		t.Errorf("the pair afterwards: %v", err)
	}
	put(t, tok, pair.ID(), hsm.Symmetric, make([]byte, 32), false)
	if _, err := hsmtest.Open(t, c).Sign(ctx, pair, p256, digest(crypto.SHA256, "a")); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("a pair beside a secret key: %v", err)
	}
	all, err := tok.Objects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, o := range all {
		types[o.Type]++
	}
	if types["AES"] == 0 || types["GENERIC_SECRET"] == 0 || types["EC"] != 1 {
		t.Errorf("inventory: %v", types)
	}
}

// A pool of 1 and of 2 sessions under many callers, secret keys and pairs mixed: no answer is another's.
func TestSecretsInSmallPools(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2} {
		c := hsmtest.NewToken(t)
		c.MaxSessions, c.WaitTimeout, c.CallTimeout = size, 2*timeUp, timeUp
		tok := hsmtest.Open(t, c)
		s, key := known(t, tok, hsm.Symmetric)
		m, macKey := known(t, tok, hsm.HMAC256)
		k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseAgree)
		spki, want := peerOf(t, k)
		var wg sync.WaitGroup
		for n := range 32 {
			wg.Go(func() {
				for i := range 10 {
					msg := bytes.Repeat([]byte(fmt.Sprint(n, "/", i, " ")), 1+200*(i%3))
					iv, ct, err := tok.EncryptGCM(ctx, s, msg, msg[:2])
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := aead(t, key).Open(nil, iv, ct, msg[:2]); err != nil || !bytes.Equal(got, msg) {
						t.Error("encrypted otherwise", err)
					}
					if got, err := tok.DecryptGCM(ctx, s, iv, ct, msg[:2]); err != nil || !bytes.Equal(got, msg) {
						t.Error("decrypted otherwise", err)
					}
					if got, err := tok.MAC(ctx, m, msg); err != nil || !bytes.Equal(got, mac(crypto.SHA256, macKey, msg)) {
						t.Error("another MAC", err)
					}
					if got, err := tok.Agree(ctx, k, spki); err != nil || !bytes.Equal(got, want) {
						t.Error("another secret", err)
					}
					if _, err := tok.Random(ctx, 32); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if s := tok.Stats(); s.Sessions != size || s.Replaced != 0 || s.Refused != 0 {
			t.Errorf("stats: %+v", s)
		}
	}
}
