package gateway_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

var oaep = []struct {
	algorithm api.EncryptionAlgorithm
	openssl   string
	room      int // the longest plaintext for RSA_2048
}{
	{api.OAEPSHA1, "sha1", 214},
	{api.OAEPSHA256, "sha256", 190},
}

// TestDecryptUndoesEncryption decrypts what the gateway and what OpenSSL encrypt.
func TestDecryptUndoesEncryption(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.RSA2048, api.EncryptDecrypt)
	path := "/v1/keys/" + key.KeyId
	for _, c := range oaep {
		plain := make([]byte, c.room)
		_, _ = rand.Read(plain)
		var made api.EncryptResponse
		g.Call("POST", path+"/encrypt", api.EncryptRequest{Plaintext: plain, EncryptionAlgorithm: c.algorithm}, &made)
		foreign := filepath.Join(t.TempDir(), "ciphertext")
		run(t, "openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", publicPEM(t, g, key.KeyId), "-in", file(t, "plain", plain), "-out", foreign,
			"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+c.openssl, "-pkeyopt", "rsa_mgf1_md:"+c.openssl)
		theirs, err := os.ReadFile(foreign)
		if err != nil {
			t.Fatal(err)
		}
		for name, ciphertext := range map[string][]byte{"ours": made.CiphertextBlob, "openssl's": theirs} {
			var out api.DecryptResponse
			g.Call("POST", path+"/decrypt", api.DecryptRequest{CiphertextBlob: ciphertext, EncryptionAlgorithm: c.algorithm}, &out)
			if !bytes.Equal(out.Plaintext, plain) || out.KeyId != key.Arn || out.EncryptionAlgorithm != c.algorithm {
				t.Errorf("%s, %s: decrypted to something else", c.algorithm, name)
			}
		}
		a := g.Send(g.Admin.Token, "POST", path+"/encrypt", api.EncryptRequest{Plaintext: append(plain[:c.room:c.room], 0), EncryptionAlgorithm: c.algorithm})
		refusal(t, a, 400, api.Validation)
		if !strings.Contains(string(a.Body), "cannot encrypt data larger than") {
			t.Errorf("%s", a.Body)
		}
	}
}

// TestBadCiphertextsAnswerAlike: an answer that told bad padding from a bad hash
// would let a stranger decrypt (Manger 2001).
func TestBadCiphertextsAnswerAlike(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.RSA2048, api.EncryptDecrypt)
	other := g.CreateKey(api.RSA2048, api.EncryptDecrypt)
	for _, c := range oaep {
		encrypt := func(key string, a api.EncryptionAlgorithm) []byte {
			var out api.EncryptResponse
			g.Call("POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("secret"), EncryptionAlgorithm: a}, &out)
			return out.CiphertextBlob
		}
		good := encrypt(key.KeyId, c.algorithm)
		random := make([]byte, 256)
		_, _ = rand.Read(random[1:])
		pkcs1 := filepath.Join(t.TempDir(), "pkcs1")
		run(t, "openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", publicPEM(t, g, key.KeyId), "-in", file(t, "plain", []byte("secret")), "-out", pkcs1)
		wrongPadding, err := os.ReadFile(pkcs1)
		if err != nil {
			t.Fatal(err)
		}
		bad := map[string][]byte{
			"first byte changed":  flipped(good, 0),
			"last byte changed":   flipped(good, len(good)-1),
			"cut":                 good[:255],
			"long":                append(good[:256:256], 0),
			"leading zero":        append([]byte{0}, good...),
			"one byte":            {1},
			"zero":                make([]byte, 256),
			"beyond the modulus":  bytes.Repeat([]byte{0xff}, 256),
			"random":              random,
			"PKCS #1 v1.5":        wrongPadding,
			"of another key":      encrypt(other.KeyId, c.algorithm),
			"of the other hash":   encrypt(key.KeyId, map[api.EncryptionAlgorithm]api.EncryptionAlgorithm{api.OAEPSHA1: api.OAEPSHA256, api.OAEPSHA256: api.OAEPSHA1}[c.algorithm]),
			"longest that is let": make([]byte, 6144),
		}
		answers := make(map[string]string)
		for name, ciphertext := range bad {
			a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/decrypt", api.DecryptRequest{CiphertextBlob: ciphertext, EncryptionAlgorithm: c.algorithm})
			refusal(t, a, 400, api.InvalidCiphertext)
			answers[strings.ReplaceAll(string(a.Body), a.Header.Get("X-Request-Id"), "")] = name
		}
		if len(answers) != 1 {
			t.Errorf("%s: bad ciphertexts answer in %d ways: %v", c.algorithm, len(answers), answers)
		}
	}
}
