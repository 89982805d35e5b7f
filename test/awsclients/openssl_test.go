package awsclients

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // the hashes that algorithms name
	_ "crypto/sha512"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openssl runs openssl in a folder of its own, with files in it, and returns the
// file that it is told to write to: the argument "OUT".
func openssl(t *testing.T, files map[string][]byte, args ...string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program(t, "openssl", "openssl"), args...)
	cmd.Dir = dir
	var problem bytes.Buffer
	cmd.Stderr, cmd.Stdout = &problem, &problem
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("openssl %s: %w: %s", strings.Join(args, " "), err, problem.Bytes())
	}
	out, err := os.ReadFile(filepath.Join(dir, "OUT"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out, nil
}

// scheme is a signing algorithm of KMS in OpenSSL's words.
type scheme struct {
	hash    crypto.Hash
	digest  string   // option of openssl dgst; "" for Ed25519
	options []string // further ones
}

var pss = []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}

var schemes = map[string]scheme{
	"RSASSA_PKCS1_V1_5_SHA_256": {crypto.SHA256, "-sha256", nil},
	"RSASSA_PKCS1_V1_5_SHA_384": {crypto.SHA384, "-sha384", nil},
	"RSASSA_PKCS1_V1_5_SHA_512": {crypto.SHA512, "-sha512", nil},
	"RSASSA_PSS_SHA_256":        {crypto.SHA256, "-sha256", pss},
	"RSASSA_PSS_SHA_384":        {crypto.SHA384, "-sha384", pss},
	"RSASSA_PSS_SHA_512":        {crypto.SHA512, "-sha512", pss},
	"ECDSA_SHA_256":             {crypto.SHA256, "-sha256", nil},
	"ECDSA_SHA_384":             {crypto.SHA384, "-sha384", nil},
	"ECDSA_SHA_512":             {crypto.SHA512, "-sha512", nil},
	"ED25519_SHA_512":           {0, "", nil},
}

func digest(h crypto.Hash, message []byte) []byte {
	hash := h.New()
	hash.Write(message)
	return hash.Sum(nil)
}

// opensslVerifies is nil when OpenSSL takes a signature over message for good.
func opensslVerifies(t *testing.T, algorithm string, spki, message, signature []byte) error {
	t.Helper()
	s, ok := schemes[algorithm]
	if !ok {
		t.Fatalf("OpenSSL is not told how to verify %s", algorithm)
	}
	files := map[string][]byte{"spki": spki, "message": message, "signature": signature}
	args := []string{"pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "spki", "-rawin", "-in", "message", "-sigfile", "signature"}
	if s.digest != "" {
		args = append([]string{"dgst", s.digest, "-keyform", "DER", "-verify", "spki", "-signature", "signature"}, s.options...)
		args = append(args, "message")
	}
	_, err := openssl(t, files, args...)
	return err
}

// opensslKey is a private key that OpenSSL made.
type opensslKey struct{ private, spki []byte }

func newOpenSSLKey(t *testing.T, args ...string) opensslKey {
	t.Helper()
	private, err := openssl(t, nil, append([]string{"genpkey", "-out", "OUT"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := openssl(t, map[string][]byte{"key": private}, "pkey", "-in", "key", "-pubout", "-outform", "DER", "-out", "OUT")
	if err != nil {
		t.Fatal(err)
	}
	return opensslKey{private, spki}
}

func (k opensslKey) sign(t *testing.T, algorithm string, message []byte) []byte {
	t.Helper()
	s := schemes[algorithm]
	args := []string{"pkeyutl", "-sign", "-inkey", "key", "-rawin", "-in", "message", "-out", "OUT"}
	if s.digest != "" {
		args = append([]string{"dgst", s.digest, "-sign", "key", "-out", "OUT"}, s.options...)
		args = append(args, "message")
	}
	signature, err := openssl(t, map[string][]byte{"key": k.private, "message": message}, args...)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// oaep are the options of openssl pkeyutl for an encryption algorithm of KMS.
var oaep = map[string][]string{
	"RSAES_OAEP_SHA_1":   {"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1", "-pkeyopt", "rsa_mgf1_md:sha1"},
	"RSAES_OAEP_SHA_256": {"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"},
}

func opensslEncrypt(t *testing.T, algorithm string, spki, plaintext []byte) []byte {
	t.Helper()
	out, err := openssl(t, map[string][]byte{"spki": spki, "in": plaintext},
		append([]string{"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "spki", "-in", "in", "-out", "OUT"}, oaep[algorithm]...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (k opensslKey) decrypt(t *testing.T, algorithm string, ciphertext []byte) []byte {
	t.Helper()
	out, err := openssl(t, map[string][]byte{"key": k.private, "in": ciphertext},
		append([]string{"pkeyutl", "-decrypt", "-inkey", "key", "-in", "in", "-out", "OUT"}, oaep[algorithm]...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// derive is the raw ECDH secret with another public key.
func (k opensslKey) derive(t *testing.T, spki []byte) []byte {
	t.Helper()
	secret, err := openssl(t, map[string][]byte{"key": k.private, "peer": spki}, "pkeyutl", "-derive", "-inkey", "key", "-peerform", "DER", "-peerkey", "peer", "-out", "OUT")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}
