package format_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// TestOpenPGPSeveral: a file is good if one of several signatures is by a trusted key, wherever it stands among them, and
// whether they are in one piece of armor, in several or in none.
func TestOpenPGPSeveral(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	one, two, other := newKey(t), &format.Key{Signer: private}, newKey(t)
	text := []byte("what is released")
	var armors, packets [][]byte
	for _, k := range []*format.Key{one, two} {
		k.Created = time.Unix(1700000000, 0)
		armors = append(armors, artifact{format.OpenPGP, "app", text}.sign(t, k, text))
		block, err := armor.Decode(bytes.NewReader(armors[len(armors)-1]))
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(block.Body); err != nil {
			t.Fatal(err)
		}
		packets = append(packets, body.Bytes())
	}
	binary := bytes.Join(packets, nil)
	var together bytes.Buffer
	w, err := armor.Encode(&together, "PGP SIGNATURE", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(binary); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	verify := func(k *format.Key, text, signatures []byte) error {
		return format.OpenPGP.Verify(&format.Trust{Keys: []crypto.PublicKey{k.Public()}}, file(t, "app", text), bytes.NewReader(signatures))
	}
	for name, signatures := range map[string][]byte{"pieces of armor": bytes.Join(armors, []byte("\n")), "one piece": together.Bytes(), "none": binary} {
		for _, k := range []*format.Key{one, two} {
			if err := verify(k, text, signatures); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := verify(k, []byte("something else"), signatures); !errors.Is(err, format.ErrNotGood) {
				t.Errorf("%s, of something else: %v", name, err)
			}
		}
		if err := verify(other, text, signatures); !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%s, by another: %v", name, err)
		}
	}
	if err := verify(one, text, bytes.Repeat(packets[0], 17)); !errors.Is(err, format.ErrNotGood) {
		t.Errorf("17 signatures: %v", err)
	}
}
