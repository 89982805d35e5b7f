package hsmtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
)

// Wrap wraps key material for Import by OpenSSL's command line, with the public key in the file pub (PEM).
func Wrap(t testing.TB, pub string, how hsm.WrapAlgorithm, material []byte) []byte {
	t.Helper()
	md := map[hsm.WrapAlgorithm]string{hsm.WrapOAEPSHA1: "sha1", hsm.WrapAESSHA1: "sha1", hsm.WrapOAEPSHA256: "sha256", hsm.WrapAESSHA256: "sha256"}[how]
	oaep := func(in []byte) []byte {
		return OpenSSL(t, in, "pkeyutl", "-encrypt", "-pubin", "-inkey", pub, "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+md,
			"-pkeyopt", "rsa_mgf1_md:"+md)
	}
	if how == hsm.WrapOAEPSHA1 || how == hsm.WrapOAEPSHA256 {
		return oaep(material)
	}
	kek := make([]byte, 32)
	rand.Read(kek)
	return append(oaep(kek), OpenSSL(t, material, "enc", "-id-aes256-wrap-pad", "-e", "-K", hex.EncodeToString(kek), "-iv", "A65959A6")...)
}

// OpenSSL runs its command line with in as input and returns what it wrote.
func OpenSSL(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(in)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH=") // the system's own
	if err := cmd.Run(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, complaint.String())
	}
	return out.Bytes()
}

// WrappingKey makes a wrapping key and returns it with the file of its public key (PEM).
func WrappingKey(t testing.TB, tok *hsm.Token, bits int) (*hsm.Key, string) {
	t.Helper()
	id := hsm.NewID()
	spki, err := tok.GenerateWrapping(context.Background(), bits, id, "wrapping")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Destroy(context.Background(), id); err != nil {
			t.Errorf("destroy the wrapping key: %v", err)
		}
	})
	k, err := hsm.NewKey(id, hsm.KeySpec("RSA_"+strconv.Itoa(bits)), spki)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "wrapping.pem")
	if err := os.WriteFile(path, OpenSSL(t, spki, "pkey", "-pubin", "-inform", "DER"), 0o600); err != nil {
		t.Fatal(err)
	}
	return k, path
}

// Material is key material that OpenSSL made: a secret, or PKCS#8 with its public key.
type Material struct {
	Spec   hsm.KeySpec
	Use    hsm.Use
	Value  []byte
	Public []byte // DER of SubjectPublicKeyInfo
}

// MaterialOf makes material for this spec and use.
func MaterialOf(t testing.TB, spec hsm.KeySpec, use hsm.Use) Material {
	t.Helper()
	m := Material{Spec: spec, Use: use}
	if size := map[hsm.KeySpec]int{hsm.Symmetric: 32, hsm.HMAC224: 28, hsm.HMAC256: 32, hsm.HMAC384: 48, hsm.HMAC512: 64}[spec]; size != 0 {
		m.Value = OpenSSL(t, nil, "rand", strconv.Itoa(size))
		return m
	}
	args := map[hsm.KeySpec][]string{
		hsm.RSA2048: {"RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, hsm.RSA3072: {"RSA", "-pkeyopt", "rsa_keygen_bits:3072"},
		hsm.RSA4096: {"RSA", "-pkeyopt", "rsa_keygen_bits:4096"}, hsm.Edwards25519: {"ED25519"},
		hsm.NISTP256: ecArgs("P-256"), hsm.NISTP384: ecArgs("P-384"), hsm.NISTP521: ecArgs("P-521"), hsm.SECGP256K1: ecArgs("secp256k1"),
	}[spec]
	pem := OpenSSL(t, nil, append([]string{"genpkey", "-algorithm"}, args...)...)
	m.Value = OpenSSL(t, pem, "pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
	m.Public = OpenSSL(t, pem, "pkey", "-pubout", "-outform", "DER")
	return m
}

func ecArgs(curve string) []string {
	return []string{"EC", "-pkeyopt", "ec_paramgen_curve:" + curve, "-pkeyopt", "ec_param_enc:named_curve"}
}

// TestImport is the part of the conformance kit about Import: material of each kind, wrapped by OpenSSL by each algorithm, and what was tampered with. It
// logs which of it the token unwrapped by itself, and leaves no key behind.
func TestImport(t *testing.T, c hsm.Config) {
	tok := Open(t, c)
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	w, pub := WrappingKey(t, tok, 3072)
	find(t, tok, w.ID(), func(o hsm.Object) {
		if !o.Protected || o.Why != "" {
			t.Errorf("the token shows %+v for a wrapping key", o)
		}
	})
	m := hsm.SignMechanism{Scheme: hsm.PKCS1v15, Hash: crypto.SHA256}
	if _, err := tok.Sign(context.Background(), w, m, input(m)); err == nil {
		t.Error("a wrapping key signs")
	}
	all := []Material{MaterialOf(t, hsm.RSA2048, hsm.UseSign), MaterialOf(t, hsm.RSA3072, hsm.UseDecrypt), MaterialOf(t, hsm.NISTP256, hsm.UseAgree),
		MaterialOf(t, hsm.NISTP521, hsm.UseAgree)}
	for _, spec := range []hsm.KeySpec{hsm.NISTP256, hsm.NISTP384, hsm.NISTP521, hsm.SECGP256K1, hsm.Edwards25519} {
		all = append(all, MaterialOf(t, spec, hsm.UseSign))
	}
	for _, spec := range hsm.SecretSpecs() {
		use := hsm.UseMAC
		if spec == hsm.Symmetric {
			use = hsm.UseCipher
		}
		all = append(all, MaterialOf(t, spec, use))
	}
	for _, how := range []hsm.WrapAlgorithm{hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256, hsm.WrapAESSHA1, hsm.WrapAESSHA256} {
		for _, m := range all {
			if _, isRSA := rsaBits[m.Spec]; isRSA && (how == hsm.WrapOAEPSHA1 || how == hsm.WrapOAEPSHA256) {
				continue
			}
			t.Run(string(how)+"/"+string(m.Spec)+"_"+strconv.Itoa(int(m.Use)), func(t *testing.T) { importOne(t, tok, w, pub, how, m) })
		}
	}
}

var rsaBits = map[hsm.KeySpec]int{hsm.RSA2048: 2048, hsm.RSA3072: 3072, hsm.RSA4096: 4096}

func importOne(t *testing.T, tok *hsm.Token, w *hsm.Key, pub string, how hsm.WrapAlgorithm, m Material) {
	if err := tok.Supports(m.Spec, m.Use); err != nil {
		t.Skip(err)
	}
	ctx := context.Background()
	wrapped := Wrap(t, pub, how, m.Value)
	id := hsm.NewID()
	in, err := tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "imported", false)
	if errors.Is(err, hsm.ErrUnsupported) {
		if n := find(t, tok, id, func(hsm.Object) {}); n != 0 {
			t.Errorf("%d objects are left after a refusal", n)
		}
		t.Log(err)
		in, err = tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "imported", true)
		if errors.Is(err, hsm.ErrUnsupported) {
			t.Skip(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("unwrapped in the token: %v", in.InToken)
	find(t, tok, id, func(o hsm.Object) {
		untold := o.Spec == "" && m.Public == nil && !in.InToken // opencryptoki does not tell the length of a secret that was given to it
		if !o.Protected || o.NeverExtractable || o.Why != "" || !shownAs(o.Spec, m.Spec) && !untold || o.Label != "imported" {
			t.Errorf("the token shows %+v", o)
		}
	})
	if m.Public != nil {
		useImported(t, tok, id, in, m)
	} else {
		useImportedSecret(t, tok, id, in, m)
	}
	if _, err := tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "twice", true); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("the same CKA_ID again: %v", err)
	}
	if err := tok.Destroy(ctx, id); err != nil {
		t.Fatal(err)
	}
	wrapped[len(wrapped)-1] ^= 1
	_, err = tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "bad", !in.InToken)
	if !errors.Is(err, hsm.ErrBadCiphertext) || err.Error() != "hsm: import: bad ciphertext" {
		t.Errorf("material that was tampered with: %v", err)
	}
	if n := find(t, tok, id, func(hsm.Object) {}); n != 0 {
		t.Errorf("%d objects are left after a failure", n)
	}
}

// useImported uses an imported pair; its public key is OpenSSL's.
func useImported(t *testing.T, tok *hsm.Token, id []byte, in hsm.Imported, m Material) {
	t.Helper()
	ctx := context.Background()
	if !bytes.Equal(in.Public, m.Public) || in.Check != nil {
		t.Fatalf("public key %x, OpenSSL has %x; check %x", in.Public, m.Public, in.Check)
	}
	k, err := hsm.NewKey(id, m.Spec, in.Public)
	if err != nil {
		t.Fatal(err)
	}
	switch m.Use {
	case hsm.UseSign:
		for _, how := range mechanisms(m.Spec) {
			if tok.SupportsSign(m.Spec, how) != nil {
				continue
			}
			sig, err := tok.Sign(ctx, k, how, input(how))
			if err != nil || k.Verify(how, input(how), sig) != nil {
				t.Errorf("%s: %v", how, err)
			}
		}
		if pub, ok := k.Public().(*rsa.PublicKey); ok {
			if _, err := tok.Decrypt(ctx, k, crypto.SHA1, make([]byte, pub.Size())); err == nil {
				t.Error("a key for signatures decrypts")
			}
		}
	case hsm.UseDecrypt:
		want := []byte("a secret")
		ct, err := k.Encrypt(crypto.SHA256, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tok.Decrypt(ctx, k, crypto.SHA256, ct); err != nil || !bytes.Equal(got, want) {
			t.Errorf("decrypts %q, %v", got, err)
		}
		how := mechanisms(m.Spec)[0]
		if _, err := tok.Sign(ctx, k, how, input(how)); err == nil {
			t.Error("a key for decryption signs")
		}
	case hsm.UseAgree:
		peer := MaterialOf(t, m.Spec, hsm.UseAgree)
		got, err := tok.Agree(ctx, k, peer.Public)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		own, other := filepath.Join(dir, "own.der"), filepath.Join(dir, "peer.der")
		for path, b := range map[string][]byte{own: m.Value, other: peer.Public} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if want := OpenSSL(t, nil, "pkeyutl", "-derive", "-keyform", "DER", "-inkey", own, "-peerform", "DER", "-peerkey", other); !bytes.Equal(got, want) {
			t.Errorf("the secret is %x, OpenSSL has %x", got, want)
		}
	}
}

// useImportedSecret compares with OpenSSL's HMAC and Go's AES-GCM.
func useImportedSecret(t *testing.T, tok *hsm.Token, id []byte, in hsm.Imported, m Material) {
	t.Helper()
	ctx := context.Background()
	s, err := hsm.NewSecret(id, m.Spec, in.Check)
	if err != nil || in.Public != nil {
		t.Fatal(err, in)
	}
	msg := []byte("a message")
	if m.Use == hsm.UseMAC {
		mac, err := tok.MAC(ctx, s, msg)
		if err != nil {
			t.Fatal(err)
		}
		md := "-sha" + string(m.Spec[len("HMAC_"):])
		if want := OpenSSL(t, msg, "dgst", md, "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(m.Value), "-binary"); !bytes.Equal(mac, want) {
			t.Errorf("the MAC is %x, OpenSSL has %x", mac, want)
		}
		return
	}
	iv, ct, err := tok.EncryptGCM(ctx, s, msg, []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	OpensInGo(t, m.Value, iv, ct, msg, []byte("aad"))
}

// OpensInGo decrypts in Go what EncryptGCM made with a key of this value. With an IV of 28 bytes the key of the message is derived first, by OpenSSL
// (Config.WithoutGCM; NIST SP 800-108).
func OpensInGo(t testing.TB, value, iv, ciphertext, want, aad []byte) {
	t.Helper()
	if len(iv) == 28 {
		value = OpenSSL(t, nil, "kdf", "-keylen", "32", "-binary", "-kdfopt", "mac:HMAC", "-kdfopt", "digest:SHA256", "-kdfopt", "mode:counter",
			"-kdfopt", "hexkey:"+hex.EncodeToString(value), "-kdfopt", "salt:hsmgate: key of one message, AES-256-GCM",
			"-kdfopt", "hexinfo:"+hex.EncodeToString(iv[:16]), "KBKDF")
		iv = iv[16:]
	}
	block, err := aes.NewCipher(value)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithNonceSize(block, len(iv))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := aead.Open(nil, iv, ciphertext, aad); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Go decrypts %q, %v", got, err)
	}
}
