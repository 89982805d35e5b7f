package format

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// ErrNoPublicKey: a text is none of the forms in which the tools of formats hold public keys.
var ErrNoPublicKey = errors.New("it holds no public key")

// PublicKeys reads the public keys of a text in the form of a format's tool: OpenPGP certificates, lines of an SSH public
// key or of allowed signers, or a public key of minisign.
func PublicKeys(text []byte) ([]crypto.PublicKey, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(text) > 0 && text[0]&0x80 != 0, bytes.HasPrefix(trimmed, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")):
		return pgpPublicKeys(text)
	case bytes.HasPrefix(trimmed, []byte("untrusted comment:")):
		return minisignPublicKeys(string(trimmed))
	}
	return sshPublicKeys(string(trimmed))
}

// OpenPGPKey is what an OpenPGP certificate says of one key.
type OpenPGPKey struct {
	Public      crypto.PublicKey
	Fingerprint []byte
	Created     time.Time
	UserIDs     []string // each bound to the key by a good signature of the key
}

// OpenPGPKeys reads OpenPGP certificates, armored or not. Each is of one key of the kinds that sign here, without
// subkeys.
func OpenPGPKeys(text []byte) ([]OpenPGPKey, error) {
	binary, err := OpenPGPBinary(text)
	if err != nil {
		return nil, err
	}
	all, err := openpgp.ReadKeyRing(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("it is no OpenPGP certificate: %w", err)
	}
	var keys []OpenPGPKey
	for _, e := range all {
		if len(e.Subkeys) > 0 {
			return nil, fmt.Errorf("the OpenPGP certificate %X has subkeys, and keys of the gateway have none", e.PrimaryKey.Fingerprint)
		}
		public, err := fromPGP(e.PrimaryKey)
		if err != nil {
			return nil, err
		}
		if len(e.Revocations) > 0 {
			return nil, fmt.Errorf("the OpenPGP certificate %X is revoked", e.PrimaryKey.Fingerprint)
		}
		k := OpenPGPKey{Public: public, Fingerprint: e.PrimaryKey.Fingerprint, Created: e.PrimaryKey.CreationTime}
		for name := range e.Identities { // the library leaves out those without a good signature
			k.UserIDs = append(k.UserIDs, name)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// MinimalOpenPGP reads an OpenPGP certificate that holds a key, one user id, the key's signature of that, and nothing else,
// as OpenPGPCertificate makes it. It gives the certificate without armor, too.
func MinimalOpenPGP(text []byte) (key *OpenPGPKey, binary []byte, err error) {
	binary, err = OpenPGPBinary(text)
	if err != nil {
		return nil, nil, err
	}
	keys, err := OpenPGPKeys(binary)
	if err != nil {
		return nil, nil, err
	}
	if len(keys) != 1 || len(keys[0].UserIDs) != 1 {
		return nil, nil, fmt.Errorf("it holds %d OpenPGP certificates, not one with one user id that the key has signed", len(keys))
	}
	packets := packet.NewReader(bytes.NewReader(binary))
	var kinds []string
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("it is no OpenPGP certificate: %w", err)
		}
		kinds = append(kinds, fmt.Sprintf("%T", p))
	}
	if got := strings.Join(kinds, " "); got != "*packet.PublicKey *packet.UserId *packet.Signature" {
		return nil, nil, fmt.Errorf("the OpenPGP certificate holds more than a key, a user id and the key's signature of that: %s", got)
	}
	return &keys[0], binary, nil
}

// ArmorOpenPGP writes OpenPGP certificates as one armored block.
func ArmorOpenPGP(certificates ...[]byte) ([]byte, error) {
	var out bytes.Buffer
	err := armored(&out, openpgp.PublicKeyType, func(w io.Writer) error {
		_, err := w.Write(bytes.Join(certificates, nil))
		return err
	})
	return out.Bytes(), err
}

// OpenPGPBinary takes the armor off, where there is one.
func OpenPGPBinary(text []byte) ([]byte, error) {
	if len(text) > 0 && text[0]&0x80 != 0 {
		return text, nil
	}
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("it is no OpenPGP certificate: %w", err)
	}
	if block.Type != openpgp.PublicKeyType {
		return nil, fmt.Errorf("it holds a %s, not an OpenPGP certificate", block.Type)
	}
	return io.ReadAll(block.Body)
}

func pgpPublicKeys(text []byte) ([]crypto.PublicKey, error) {
	read, err := OpenPGPKeys(text)
	var keys []crypto.PublicKey
	for _, k := range read {
		keys = append(keys, k.Public)
	}
	return keys, err
}

func fromPGP(key *packet.PublicKey) (crypto.PublicKey, error) {
	switch k := key.PublicKey.(type) {
	case *rsa.PublicKey:
		return k, nil
	case *pgpecdsa.PublicKey:
		point := k.MarshalPoint()
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			if public, err := ecdsa.ParseUncompressedPublicKey(curve, point); err == nil { // no point of another curve is on it
				return public, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: the key of the OpenPGP certificate %X is none of %s", ErrKey, key.Fingerprint, pgpKeys)
}

func minisignPublicKeys(text string) ([]crypto.PublicKey, error) {
	_, line, _ := strings.Cut(text, "\n")
	box, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil || len(box) != 2+8+ed25519.PublicKeySize || string(box[:2]) != "Ed" {
		return nil, errors.New("it is no public key of minisign: its second line should be 42 bytes of base64 that begin with Ed")
	}
	return []crypto.PublicKey{ed25519.PublicKey(box[10:])}, nil
}

// sshPublicKeys reads lines of authorized_keys or of allowed signers. Options say when a line holds, which is not weighed
// here, so that a line with options is refused.
func sshPublicKeys(text string) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) > 1 && !isSSHKind(fields[0]) { // who signs
			fields = fields[1:]
		}
		switch {
		case !isSSHKind(fields[0]) && len(fields) > 1 && isSSHKind(fields[1]):
			return nil, fmt.Errorf("a line of allowed signers has options (%s), which are not weighed here: give one without them", fields[0])
		case !isSSHKind(fields[0]):
			return nil, ErrNoPublicKey
		}
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.Join(fields, " ")))
		if err != nil {
			return nil, fmt.Errorf("%w that SSH can read: %w", ErrNoPublicKey, err)
		}
		public, ok := parsed.(ssh.CryptoPublicKey)
		if !ok {
			return nil, fmt.Errorf("%w: an SSH key of kind %s is in hardware or a certificate", ErrKey, parsed.Type())
		}
		keys = append(keys, public.CryptoPublicKey())
	}
	if len(keys) == 0 {
		return nil, ErrNoPublicKey
	}
	return keys, nil
}

func isSSHKind(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-sha2-")
}

// Describe names a public key for people: its kind, and its fingerprint as SSH has it where SSH has the kind.
func Describe(key crypto.PublicKey) string {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return kindOf(key)
	}
	return kindOf(key) + " " + ssh.FingerprintSHA256(public)
}
