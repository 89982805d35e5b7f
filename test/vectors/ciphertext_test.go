package vectors

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// foreign writes and reads symmetric ciphertexts by docs/ciphertext.md alone, for
// a key whose material it has.
type foreign struct {
	material []byte
	keyID    string
	version  uint32
}

func (f foreign) header(t *testing.T) []byte {
	t.Helper()
	digits, multiRegion := strings.CutPrefix(f.keyID, "mrk-")
	h := []byte{1}
	if multiRegion {
		h[0] = 2
	}
	id, err := hex.DecodeString(strings.ReplaceAll(digits, "-", ""))
	must(t, err)
	return binary.BigEndian.AppendUint32(append(h, id...), f.version)
}

func (f foreign) additional(t *testing.T, context map[string]string) []byte {
	t.Helper()
	out := f.header(t)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, text := range []string{name, context[name]} {
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(text))), text...)
		}
	}
	return out
}

func (f foreign) gcm(t *testing.T, ivSize int) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(f.material)
	must(t, err)
	gcm, err := cipher.NewGCMWithNonceSize(block, ivSize)
	must(t, err)
	return gcm
}

func (f foreign) seal(t *testing.T, ivSize int, plaintext []byte, context map[string]string) []byte {
	t.Helper()
	iv := make([]byte, ivSize)
	rand.Read(iv)
	out := append(append(f.header(t), byte(ivSize)), iv...)
	return f.gcm(t, ivSize).Seal(out, iv, plaintext, f.additional(t, context))
}

func (f foreign) open(t *testing.T, ciphertext []byte, context map[string]string) []byte {
	t.Helper()
	if want := f.header(t); !bytes.HasPrefix(ciphertext, want) {
		t.Fatalf("the ciphertext begins with %x, not %x", ciphertext[:21], want)
	}
	size := int(ciphertext[21])
	iv, sealed := ciphertext[22:22+size], ciphertext[22+size:]
	plaintext, err := f.gcm(t, size).Open(nil, iv, sealed, f.additional(t, context))
	must(t, err)
	return plaintext
}

// TestCiphertextsAreAsDocumented: Go decrypts what the token encrypted, and the
// token what Go encrypted, with an imported key and docs/ciphertext.md. An id with
// mrk- and an IV of 16 bytes are in it, too.
func TestCiphertextsAreAsDocumented(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	material := make([]byte, 32)
	rand.Read(material)
	keys := []string{b.imported(t, api.Symmetric, api.EncryptDecrypt, material)}
	var multi api.CreateKeyResponse
	b.do(t, "CreateKey", "", api.CreateKeyRequest{Origin: api.OriginExternal, MultiRegion: true}, &multi)
	b.do(t, "ImportKeyMaterial", multi.KeyMetadata.KeyId, b.wrapping(t, multi.KeyMetadata.KeyId).request(t, material), nil)
	keys = append(keys, multi.KeyMetadata.KeyId)
	contexts := []map[string]string{nil, {"a": "b"}, {"b": "", "": "b", "ä": "ö", "aa": "1", "a": "22"}}
	for _, key := range keys {
		f := foreign{material, key, 1}
		for _, context := range contexts {
			for _, size := range []int{1, 16, 4096} {
				plaintext := bytes.Repeat([]byte{byte(size)}, size)
				var made api.EncryptResponse
				b.do(t, "Encrypt", key, api.EncryptRequest{Plaintext: plaintext, EncryptionContext: context}, &made)
				if got := f.open(t, made.CiphertextBlob, context); !bytes.Equal(got, plaintext) {
					t.Errorf("%s: Go decrypts something else", key)
				}
				for _, ivSize := range []int{12, 16} {
					ours := f.seal(t, ivSize, plaintext, context)
					for _, face := range faces {
						r := b.ask(t, face, "Decrypt", "", api.DecryptRequest{CiphertextBlob: ours, EncryptionContext: context})
						if want := `"Plaintext":"` + base64Of(plaintext); r.status != 200 || !strings.Contains(string(r.body), want) {
							t.Errorf("%s, IV of %d bytes: %d %.200s", face, ivSize, r.status, r.body)
						}
					}
				}
			}
		}
	}
	// What encrypts nothing, or under an IV of another length, is no ciphertext.
	f := foreign{material, keys[0], 1}
	for _, ivSize := range []int{8, 11, 13, 15, 17} {
		b.refused(t, "an IV of another length", "Decrypt", "", api.DecryptRequest{CiphertextBlob: f.seal(t, ivSize, []byte("m"), nil)}, api.InvalidCiphertext)
	}
	b.refused(t, "nothing inside", "Decrypt", "", api.DecryptRequest{CiphertextBlob: f.seal(t, 12, nil, nil)}, api.InvalidCiphertext)
}

// derived is the key of one message by docs/ciphertext.md: NIST SP 800-108, computed by OpenSSL.
func (f foreign) derived(t *testing.T, nonce []byte) foreign {
	t.Helper()
	f.material = hsmtest.OpenSSL(t, nil, "kdf", "-keylen", "32", "-binary", "-kdfopt", "mac:HMAC", "-kdfopt", "digest:SHA256", "-kdfopt", "mode:counter",
		"-kdfopt", "hexkey:"+hex.EncodeToString(f.material), "-kdfopt", "salt:hsmgate: key of one message, AES-256-GCM",
		"-kdfopt", "hexinfo:"+hex.EncodeToString(nonce), "KBKDF")
	return f
}

// TestDerivedCiphertextsAreAsDocumented: the same of a token without AES-GCM, where each message has a key of its own.
func TestDerivedCiphertextsAreAsDocumented(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	dir := t.TempDir()
	library, fault := filepath.Join(dir, "fault.so"), filepath.Join(dir, "fault")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, "../../hsm/testdata/fault.c", "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, os.WriteFile(fault, []byte("no-gcm"), 0o600))
	t.Setenv("HSM_FAULT_FILE", fault) // C sees it: the module is loaded afterwards
	t.Setenv("HSM_FAULT_MODULE", hsmtest.SoftHSM(t))
	token := hsmtest.TokenIn(t, library)
	token.WithoutGCM = "derive"
	b := newBenchWith(t, gatewaytest.Options{Token: token})
	material := make([]byte, 32)
	rand.Read(material)
	f := foreign{material, b.imported(t, api.Symmetric, api.EncryptDecrypt, material), 1}
	for _, context := range []map[string]string{nil, {"b": "", "": "b", "ä": "ö", "aa": "1", "a": "22"}} {
		for _, size := range []int{1, 16, 4096} {
			plaintext := bytes.Repeat([]byte{byte(size)}, size)
			var made api.EncryptResponse
			b.do(t, "Encrypt", f.keyID, api.EncryptRequest{Plaintext: plaintext, EncryptionContext: context}, &made)
			theirs := made.CiphertextBlob
			if theirs[21] != 28 {
				t.Fatalf("an IV of %d bytes", theirs[21])
			}
			nonce := theirs[22:38]
			short := append(append(bytes.Clone(theirs[:21]), 12), theirs[38:]...) // the same without the nonce
			if got := f.derived(t, nonce).open(t, short, context); !bytes.Equal(got, plaintext) {
				t.Error("what is derived elsewhere decrypts something else")
			}
			nonce = bytes.Repeat([]byte{byte(size)}, 16)
			short = f.derived(t, nonce).seal(t, 12, plaintext, context)
			ours := append(append(append(bytes.Clone(short[:21]), 28), nonce...), short[22:]...)
			for _, face := range faces {
				r := b.ask(t, face, "Decrypt", "", api.DecryptRequest{CiphertextBlob: ours, EncryptionContext: context})
				if want := `"Plaintext":"` + base64Of(plaintext); r.status != 200 || !strings.Contains(string(r.body), want) {
					t.Errorf("%s: %d %.200s", face, r.status, r.body)
				}
			}
			for _, ivSize := range []int{12, 16} { // those of keys that encrypt in the token
				b.refused(t, "a short IV", "Decrypt", "", api.DecryptRequest{CiphertextBlob: f.seal(t, ivSize, plaintext, context), EncryptionContext: context}, api.InvalidCiphertext)
			}
		}
	}
}

// TestChangedCiphertexts: cut at every byte and changed in every byte, with the
// key named and without.
func TestChangedCiphertexts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var made api.CreateKeyResponse
	b.do(t, "CreateKey", "", api.CreateKeyRequest{}, &made)
	key := made.KeyMetadata.KeyId
	context := map[string]string{"a": "b"}
	var good api.EncryptResponse
	b.do(t, "Encrypt", key, api.EncryptRequest{Plaintext: []byte("secret"), EncryptionContext: context}, &good)
	refused := func(what string, ciphertext []byte, named, unnamed api.Code) {
		t.Helper()
		in := api.DecryptRequest{CiphertextBlob: ciphertext, EncryptionContext: context}
		b.refused(t, what+", the key named", "Decrypt", key, in, named)
		b.refused(t, what, "Decrypt", "", in, unnamed)
	}
	for n := 1; n < len(good.CiphertextBlob); n++ {
		refused("cut", good.CiphertextBlob[:n], api.InvalidCiphertext, api.InvalidCiphertext)
	}
	for i := range good.CiphertextBlob {
		for _, bit := range []byte{1, 0x80} {
			named, unnamed := api.InvalidCiphertext, api.InvalidCiphertext
			if i >= 1 && i <= 16 { // they name the key
				named, unnamed = api.IncorrectKey, api.AccessDenied
			}
			changed := bytes.Clone(good.CiphertextBlob)
			changed[i] ^= bit
			refused("changed", changed, named, unnamed)
		}
	}
	multiRegion := bytes.Clone(good.CiphertextBlob)
	multiRegion[0] = 2 // the same digits behind mrk-
	refused("another form", multiRegion, api.IncorrectKey, api.AccessDenied)
	b.refused(t, "empty", "Decrypt", key, api.DecryptRequest{CiphertextBlob: []byte{}}, api.Validation)
	b.refused(t, "too long", "Decrypt", key, api.DecryptRequest{CiphertextBlob: make([]byte, 6145)}, api.Validation)
	var out api.DecryptResponse
	b.do(t, "Decrypt", key, api.DecryptRequest{CiphertextBlob: good.CiphertextBlob, EncryptionContext: context}, &out)
	if string(out.Plaintext) != "secret" {
		t.Error("the good one is not decrypted any more")
	}
}

// TestChangedMACs: cut at every byte, changed in every byte, longer, of another
// key, and none.
func TestChangedMACs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for spec, a := range map[api.KeySpec]api.MacAlgorithm{api.HMAC224: api.HMACSHA224, api.HMAC256: api.HMACSHA256, api.HMAC384: api.HMACSHA384, api.HMAC512: api.HMACSHA512} {
		key, other := b.CreateKey(spec, api.GenerateVerifyMac).KeyId, b.CreateKey(spec, api.GenerateVerifyMac).KeyId
		var good, foreign api.GenerateMacResponse
		b.do(t, "GenerateMac", key, api.GenerateMacRequest{Message: []byte("m"), MacAlgorithm: a}, &good)
		b.do(t, "GenerateMac", other, api.GenerateMacRequest{Message: []byte("m"), MacAlgorithm: a}, &foreign)
		refused := func(what string, mac []byte, want api.Code) {
			t.Helper()
			b.refused(t, string(a)+" "+what, "VerifyMac", key, api.VerifyMacRequest{Message: []byte("m"), Mac: mac, MacAlgorithm: a}, want)
		}
		for i := range good.Mac {
			changed := bytes.Clone(good.Mac)
			changed[i] ^= 1 << (i % 8)
			refused("changed", changed, api.KMSInvalidMac)
			if i > 0 {
				refused("cut", good.Mac[:i], api.KMSInvalidMac)
			}
		}
		refused("longer", append(bytes.Clone(good.Mac), 0), api.KMSInvalidMac)
		refused("twice", append(bytes.Clone(good.Mac), good.Mac...), api.KMSInvalidMac)
		refused("of another key", foreign.Mac, api.KMSInvalidMac)
		refused("zeros", make([]byte, len(good.Mac)), api.KMSInvalidMac)
		refused("the longest", make([]byte, 6144), api.KMSInvalidMac)
		refused("empty", []byte{}, api.Validation)
		refused("too long", make([]byte, 6145), api.Validation)
		b.do(t, "VerifyMac", key, api.VerifyMacRequest{Message: []byte("m"), Mac: good.Mac, MacAlgorithm: a}, nil)
	}
}
