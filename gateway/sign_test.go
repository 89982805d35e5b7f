package gateway_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	decred "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

var allSpecs = []api.KeySpec{api.RSA2048, api.RSA3072, api.RSA4096, api.P256, api.P384, api.P521, api.P256K1, api.Ed25519}

// hashOf is the hash in an algorithm's name.
func hashOf(a api.SigningAlgorithm) crypto.Hash {
	switch {
	case strings.HasSuffix(string(a), "SHA_256"):
		return crypto.SHA256
	case strings.HasSuffix(string(a), "SHA_384"):
		return crypto.SHA384
	}
	return crypto.SHA512
}

func digest(h crypto.Hash, message []byte) []byte {
	w := h.New()
	w.Write(message)
	return w.Sum(nil)
}

// TestSignaturesVerifyElsewhere has OpenSSL and Go check what each algorithm
// signs, from the message and from its digest.
func TestSignaturesVerifyElsewhere(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	message := []byte("hsmgate signs this message")
	for _, spec := range allSpecs {
		key := g.CreateKey(spec, api.SignVerify)
		if len(key.SigningAlgorithms) == 0 {
			t.Errorf("%s: no algorithms", spec)
		}
		for _, algorithm := range key.SigningAlgorithms {
			for _, messageType := range []api.MessageType{"", api.Raw, api.Digest} {
				if algorithm == api.Ed25519SHA512 && messageType == api.Digest || algorithm == api.Ed25519PHSHA512 && messageType != api.Digest {
					continue
				}
				t.Run(string(spec)+"/"+string(algorithm)+"/"+string(messageType), func(t *testing.T) {
					in := api.SignRequest{Message: message, MessageType: messageType, SigningAlgorithm: algorithm}
					if messageType == api.Digest {
						in.Message = digest(hashOf(algorithm), message)
					}
					signature := sign(t, g, key.KeyId, in)
					goAccepts(t, spec, publicDER(t, g, key.KeyId), algorithm, message, signature)
					if algorithm != api.Ed25519PHSHA512 { // Debian's OpenSSL has it not
						run(t, "openssl", opensslVerify(t, algorithm, publicPEM(t, g, key.KeyId), message, signature)...)
						refuses(t, "openssl", opensslVerify(t, algorithm, publicPEM(t, g, key.KeyId), []byte("another"), signature)...)
					}
					verify := api.VerifyRequest{Message: in.Message, MessageType: messageType, SigningAlgorithm: algorithm, Signature: signature}
					g.Call("POST", "/v1/keys/"+key.KeyId+"/verify", verify, nil)
				})
			}
		}
	}
}

// opensslVerify are openssl's arguments that check a signature.
func opensslVerify(t testing.TB, a api.SigningAlgorithm, pem string, message, signature []byte) []string {
	t.Helper()
	sig, msg := file(t, "signature", signature), file(t, "message", message)
	if a == api.Ed25519SHA512 {
		return []string{"pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", msg, "-sigfile", sig}
	}
	args := []string{"dgst", "-" + strings.ToLower(strings.ReplaceAll(hashOf(a).String(), "-", "")), "-verify", pem, "-signature", sig}
	return append(append(args, pssOptions(a)...), msg)
}

func pssOptions(a api.SigningAlgorithm) []string {
	if strings.HasPrefix(string(a), "RSASSA_PSS") {
		return []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}
	}
	return nil
}

func goAccepts(t testing.TB, spec api.KeySpec, der []byte, a api.SigningAlgorithm, message, signature []byte) {
	t.Helper()
	hash := hashOf(a)
	sum := digest(hash, message)
	if spec == api.P256K1 {
		pub, err := secp256k1.ParsePubKey(der[len(der)-65:])
		if err != nil {
			t.Fatal(err)
		}
		sig, err := decred.ParseDERSignature(signature)
		if err != nil || !sig.Verify(sum, pub) {
			t.Error("decred refuses the signature", err)
		}
		return
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	good := false
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if strings.HasPrefix(string(a), "RSASSA_PSS") {
			good = rsa.VerifyPSS(pub, hash, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			good = rsa.VerifyPKCS1v15(pub, hash, sum, signature) == nil
		}
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(pub, sum, signature)
	case ed25519.PublicKey:
		if a == api.Ed25519PHSHA512 { // over the given bytes, which are hashed again
			good = ed25519.VerifyWithOptions(pub, digest(hash, sum), signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
		} else {
			good = ed25519.Verify(pub, message, signature)
		}
	}
	if !good {
		t.Error("Go refuses the signature")
	}
}

// TestUploadToAKeyThatDoesNotSign: such a key has no algorithm that could be meant.
func TestUploadToAKeyThatDoesNotSign(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	refusal(t, g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/sign", []byte("m")), 400, api.InvalidKeyUsage)
}
