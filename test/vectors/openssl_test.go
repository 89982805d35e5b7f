package vectors

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// pair is key material that OpenSSL made, in a file of its own for each half.
type pair struct {
	hsmtest.Material
	private, public string
}

func newPair(t testing.TB, m hsmtest.Material) pair {
	t.Helper()
	return pair{m, fileOf(t, m.Value), fileOf(t, m.Public)}
}

func fileOf(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

// pssOptions are OpenSSL's for the salt and MGF1 of AWS KMS.
var pssOptions = []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}

// digestArgs are the arguments of openssl dgst for an algorithm; none for Ed25519,
// which is no digest.
func digestArgs(algorithm string) []string {
	if strings.HasPrefix(algorithm, "ED25519") {
		return nil
	}
	args := []string{"dgst", "-sha" + algorithm[len(algorithm)-3:]}
	if strings.Contains(algorithm, "_PSS_") {
		args = append(args, pssOptions...)
	}
	return args
}

// sign signs a message, which OpenSSL hashes where the algorithm has a hash.
func (p pair) sign(t testing.TB, algorithm string, message []byte) []byte {
	t.Helper()
	in := fileOf(t, message)
	if args := digestArgs(algorithm); args != nil {
		return hsmtest.OpenSSL(t, nil, append(args, "-keyform", "DER", "-sign", p.private, in)...)
	}
	return hsmtest.OpenSSL(t, nil, "pkeyutl", "-sign", "-keyform", "DER", "-inkey", p.private, "-rawin", "-in", in)
}

// verify says whether OpenSSL takes a signature over the message for good.
func (p pair) verify(t testing.TB, algorithm string, message, signature []byte) bool {
	t.Helper()
	in, sig := fileOf(t, message), fileOf(t, signature)
	args := []string{"pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", p.public, "-rawin", "-in", in, "-sigfile", sig}
	if digest := digestArgs(algorithm); digest != nil {
		args = append(digest, "-keyform", "DER", "-verify", p.public, "-signature", sig, in)
	}
	return exec.CommandContext(t.Context(), "openssl", args...).Run() == nil
}

// oaepArgs are the options of openssl pkeyutl for an encryption algorithm.
func oaepArgs(algorithm string) []string {
	md := "sha" + algorithm[strings.LastIndex(algorithm, "_")+1:]
	return []string{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:" + md, "-pkeyopt", "rsa_mgf1_md:" + md}
}

func (p pair) encrypt(t testing.TB, algorithm string, plaintext []byte) []byte {
	t.Helper()
	return hsmtest.OpenSSL(t, plaintext, append([]string{"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", p.public}, oaepArgs(algorithm)...)...)
}

func (p pair) decrypt(t testing.TB, algorithm string, ciphertext []byte) []byte {
	t.Helper()
	return hsmtest.OpenSSL(t, ciphertext, append([]string{"pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", p.private}, oaepArgs(algorithm)...)...)
}

func (p pair) derive(t testing.TB, peer []byte) []byte {
	t.Helper()
	return hsmtest.OpenSSL(t, nil, "pkeyutl", "-derive", "-keyform", "DER", "-inkey", p.private, "-peerform", "DER", "-peerkey", fileOf(t, peer))
}
