package hsm_test

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// algorithm is one pair of key spec and mechanism, in OpenSSL's words.
type algorithm struct {
	spec    hsm.KeySpec
	m       hsm.SignMechanism
	genkey  []string // for 'openssl genpkey'
	pkeyutl []string
}

func algorithms() []algorithm {
	var all []algorithm
	bits := map[hsm.KeySpec]string{hsm.RSA2048: "2048", hsm.RSA3072: "3072", hsm.RSA4096: "4096"}
	for _, spec := range []hsm.KeySpec{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			md := "digest:sha" + fmt.Sprint(8*h.Size())
			gen := []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:" + bits[spec]}
			all = append(all,
				algorithm{spec, hsm.SignMechanism{Scheme: hsm.PKCS1v15, Hash: h}, gen, []string{"-pkeyopt", "rsa_padding_mode:pkcs1", "-pkeyopt", md}},
				algorithm{spec, hsm.SignMechanism{Scheme: hsm.PSS, Hash: h}, gen, []string{"-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", md,
					"-pkeyopt", "rsa_pss_saltlen:digest", "-pkeyopt", "rsa_mgf1_md:" + strings.TrimPrefix(md, "digest:")}})
		}
	}
	for _, c := range []struct {
		spec  hsm.KeySpec
		h     crypto.Hash
		curve string
	}{{hsm.NISTP256, crypto.SHA256, "P-256"}, {hsm.NISTP384, crypto.SHA384, "P-384"}, {hsm.NISTP521, crypto.SHA512, "P-521"}, {hsm.SECGP256K1, crypto.SHA256, "secp256k1"}} {
		all = append(all, algorithm{c.spec, hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: c.h}, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + c.curve}, nil})
	}
	return append(all, algorithm{hsm.Edwards25519, ed25519m, []string{"-algorithm", "ED25519"}, []string{"-rawin"}})
}

func (a algorithm) String() string { return string(a.spec) + "/" + a.m.String() }

func (a algorithm) input(msg string) []byte {
	if a.m.Hash == 0 {
		return []byte(msg)
	}
	return digest(a.m.Hash, msg)
}

func openssl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Our own Sign and Verify may agree and both be wrong (moto 10202, localstack 9602), so each algorithm's signature is verified by OpenSSL: DigestInfo,
// salt length, DER.
func TestOpenSSLVerifiesOurs(t *testing.T) {
	t.Parallel()
	openssl(t)
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	keys := map[hsm.KeySpec]*hsm.Key{}
	for _, a := range algorithms() {
		k := keys[a.spec]
		if k == nil {
			k = hsmtest.NewKey(t, tok, a.spec, hsm.UseSign)
			keys[a.spec] = k
		}
		t.Run(a.String(), func(t *testing.T) {
			in := a.input("a release")
			sig, err := tok.Sign(ctx, k, a.m, in)
			if err != nil {
				t.Fatal(err)
			}
			pub := write(t, "pub.pem", publicPEM(t, k))
			verify := func(in []byte) error {
				args := append([]string{"pkeyutl", "-verify", "-pubin", "-inkey", pub, "-sigfile", write(t, "sig", sig), "-in", write(t, "in", in)}, a.pkeyutl...)
				out, err := exec.Command("openssl", args...).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			}
			if err := verify(in); err != nil {
				t.Error(err)
			}
			if verify(a.input("another")) == nil {
				t.Error("OpenSSL takes it for another message")
			}
			if err := k.Verify(a.m, in, sig); err != nil {
				t.Error(err)
			}
		})
	}
}

// publicPEM is the key's public key for OpenSSL; crypto/x509 does not know secp256k1, so the DER comes from the token layer.
func publicPEM(t *testing.T, k *hsm.Key) []byte {
	t.Helper()
	der, err := k.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// And signatures made by OpenSSL verify here, with keys that OpenSSL made.
func TestWeVerifyOpenSSL(t *testing.T) {
	t.Parallel()
	openssl(t)
	for _, a := range algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			in := a.input("a release")
			dir := t.TempDir()
			private, public, sigfile := filepath.Join(dir, "key.pem"), filepath.Join(dir, "pub.der"), filepath.Join(dir, "sig")
			run(t, "openssl", append([]string{"genpkey", "-out", private}, a.genkey...)...)
			run(t, "openssl", "pkey", "-in", private, "-pubout", "-outform", "DER", "-out", public)
			run(t, "openssl", append([]string{"pkeyutl", "-sign", "-inkey", private, "-in", write(t, "in", in), "-out", sigfile}, a.pkeyutl...)...)
			der, err := os.ReadFile(public)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := os.ReadFile(sigfile)
			if err != nil {
				t.Fatal(err)
			}
			k, err := hsm.NewKey(hsm.NewID(), a.spec, der)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := k.SPKI(); err != nil || !bytes.Equal(again, der) {
				t.Errorf("the public key is not the same after reading and writing: %v", err)
			}
			if err := k.Verify(a.m, in, sig); err != nil {
				t.Error(err)
			}
			sig[len(sig)-1] ^= 1
			if k.Verify(a.m, in, sig) == nil {
				t.Error("a changed signature verifies")
			}
		})
	}
}

// PSS with the largest salt instead of the hash's length (localstack) must not verify.
func TestPSSSaltLength(t *testing.T) {
	t.Parallel()
	openssl(t)
	dir := t.TempDir()
	private, public, sigfile := filepath.Join(dir, "key.pem"), filepath.Join(dir, "pub.der"), filepath.Join(dir, "sig")
	run(t, "openssl", "genpkey", "-out", private, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	run(t, "openssl", "pkey", "-in", private, "-pubout", "-outform", "DER", "-out", public)
	in := digest(crypto.SHA256, "a")
	run(t, "openssl", "pkeyutl", "-sign", "-inkey", private, "-in", write(t, "in", in), "-out", sigfile, "-pkeyopt", "rsa_padding_mode:pss",
		"-pkeyopt", "digest:sha256", "-pkeyopt", "rsa_pss_saltlen:max")
	der, _ := os.ReadFile(public)
	sig, _ := os.ReadFile(sigfile)
	k, err := hsm.NewKey(hsm.NewID(), hsm.RSA2048, der)
	if err != nil {
		t.Fatal(err)
	}
	if k.Verify(hsm.SignMechanism{Scheme: hsm.PSS, Hash: crypto.SHA256}, in, sig) == nil {
		t.Error("a signature with the largest salt verifies")
	}
}

// Every algorithm refuses every digest of a wrong length, and every mechanism that is not the key's.
func TestWrongDigestsAndMechanisms(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	for _, spec := range []hsm.KeySpec{hsm.RSA2048, hsm.NISTP256, hsm.NISTP384, hsm.NISTP521, hsm.SECGP256K1, hsm.Edwards25519} {
		k := hsmtest.NewKey(t, tok, spec, hsm.UseSign)
		refused := func(m hsm.SignMechanism, size int) {
			t.Helper()
			in := make([]byte, size)
			if _, err := tok.Sign(ctx, k, m, in); !errors.Is(err, hsm.ErrInvalid) && !errors.Is(err, hsm.ErrUnsupported) {
				t.Errorf("%s signs %d bytes by %s: %v", spec, size, m, err)
			}
			if err := k.Verify(m, in, make([]byte, 64)); !errors.Is(err, hsm.ErrInvalid) {
				t.Errorf("%s verifies %d bytes by %s: %v", spec, size, m, err)
			}
		}
		for _, a := range algorithms() {
			if a.spec != spec {
				if !own(spec, a.m) {
					refused(a.m, len(a.input("a")))
				}
				continue
			}
			for _, size := range []int{0, 1, 20, 28, 31, 32, 33, 48, 63, 64, 65, 66, 128} {
				if a.m.Hash != 0 && size != a.m.Hash.Size() {
					refused(a.m, size)
				}
			}
		}
		for _, m := range []hsm.SignMechanism{{}, {Scheme: hsm.PKCS1v15}, {Scheme: hsm.ECDSA}, {Scheme: 99, Hash: crypto.SHA256},
			{Scheme: hsm.PKCS1v15, Hash: crypto.SHA1}, {Scheme: hsm.PSS, Hash: crypto.MD5}, {Scheme: hsm.Ed25519, Hash: crypto.SHA512}, {Scheme: hsm.Ed25519ph}} {
			refused(m, 32)
		}
	}
}

// own reports whether a spec has the mechanism.
func own(spec hsm.KeySpec, m hsm.SignMechanism) bool {
	for _, a := range algorithms() {
		if a.spec == spec && a.m == m {
			return true
		}
	}
	return false
}

// Ed25519 signs the empty message too.
func TestEmptyMessage(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	k := hsmtest.NewKey(t, tok, hsm.Edwards25519, hsm.UseSign)
	for _, in := range [][]byte{nil, {}} {
		sig, err := tok.Sign(ctx, k, ed25519m, in)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Verify(ed25519m, in, sig); err != nil {
			t.Error(err)
		}
	}
}

// Short r and s, high bits, halves of 66 bytes: the DER of each.
func TestDERSignature(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, want string }{
		{"0000000100000002", "3006020101020102"},
		{"8000000000000080", "300b0205008000000002020080"},
		{"7f0000000000ff00", "300b02047f000000020300ff00"},
	} {
		var raw, want []byte
		_, _ = fmt.Sscanf(c.raw, "%x", &raw)
		_, _ = fmt.Sscanf(c.want, "%x", &want)
		if got := hsm.DERSignature(raw); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", c.raw, got, want)
		}
	}
	long := hsm.DERSignature(bytes.Repeat([]byte{0x81}, 132)) // P-521: longer than 127 bytes
	if len(long) != 3+2*(2+1+66) || long[1] != 0x81 || int(long[2]) != len(long)-3 {
		t.Errorf("P-521: %x", long)
	}
	for _, raw := range [][]byte{nil, {1}, {1, 2, 3}, make([]byte, 64), append(make([]byte, 32), bytes.Repeat([]byte{1}, 32)...)} {
		if got := hsm.DERSignature(raw); got != nil {
			t.Errorf("%x is taken for a signature: %x", raw, got)
		}
	}
}
