package publickey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

func minisignPublicKeys(text string) ([]crypto.PublicKey, error) {
	_, line, _ := strings.Cut(text, "\n")
	box, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil || len(box) != 2+8+ed25519.PublicKeySize || string(box[:2]) != "Ed" {
		return nil, errors.New("it is no public key of minisign: its second line should be 42 bytes of base64 that begin with Ed")
	}
	return []crypto.PublicKey{ed25519.PublicKey(box[10:])}, nil
}

// MinisignID names a key in signatures. minisign itself draws it; here it is the beginning of the key's SHA-256, so that
// everybody has the same one.
func MinisignID(key crypto.PublicKey) []byte {
	sum := sha256.Sum256(key.(ed25519.PublicKey))
	return sum[:8]
}

// MinisignName is that id as minisign writes it.
func MinisignName(id []byte) string { return strings.ToUpper(hex.EncodeToString(id)) }

// Minisign is the file that minisign -p takes.
func Minisign(key crypto.PublicKey) (string, error) {
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("%w: minisign takes Ed25519, not %s", ErrKey, KindOf(key))
	}
	id := MinisignID(key)
	box := append(append([]byte("Ed"), id...), public...)
	return fmt.Sprintf("untrusted comment: minisign public key %s\n%s\n", MinisignName(id), base64.StdEncoding.EncodeToString(box)), nil
}
