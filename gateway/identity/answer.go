package identity

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// newAnswers makes the seal of signatures that the database keeps.
func newAnswers(sealKey []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, sealKey, nil, "hsmgate answer 1", SealKeySize)
	if err != nil {
		return nil, err
	}
	return newSeal(key)
}

// SealAnswer seals a signature, bound to what it answers: beside something else it does not open.
func (i *Identities) SealAnswer(signature []byte, of ...string) []byte {
	return i.answers.Seal(nil, nil, signature, bound(of))
}

// OpenAnswer opens what SealAnswer sealed. ErrSealKey when it does not open.
func (i *Identities) OpenAnswer(sealed []byte, of ...string) ([]byte, error) {
	signature, err := i.answers.Open(nil, nil, sealed, bound(of))
	if err != nil {
		return nil, fmt.Errorf("identity: %w: the answer was sealed under another key, or the database was changed", ErrSealKey)
	}
	return signature, nil
}

func bound(of []string) []byte {
	text, _ := json.Marshal(of) // of texts: this cannot fail
	return text
}
