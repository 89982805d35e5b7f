package publickey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// OpenPGPKinds are the keys of OpenPGP. Its EdDSA is beyond the library with a signer that is not its own.
const OpenPGPKinds = "RSA, P-256, P-384, P-521"

// OpenPGP is what an OpenPGP certificate says of one key.
type OpenPGP struct {
	Public      crypto.PublicKey
	Fingerprint []byte
	Created     time.Time
	UserIDs     []string // each bound to the key by a good signature of the key
}

// ReadOpenPGP reads OpenPGP certificates, armored or not. Each is of one key of the kinds that sign here, without
// subkeys.
func ReadOpenPGP(text []byte) ([]OpenPGP, error) {
	binary, err := OpenPGPBinary(text)
	if err != nil {
		return nil, err
	}
	all, err := openpgp.ReadKeyRing(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("it is no OpenPGP certificate: %w", err)
	}
	var keys []OpenPGP
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
		k := OpenPGP{Public: public, Fingerprint: e.PrimaryKey.Fingerprint, Created: e.PrimaryKey.CreationTime}
		for name := range e.Identities { // the library leaves out those without a good signature
			k.UserIDs = append(k.UserIDs, name)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// ReadMinimalOpenPGP reads an OpenPGP certificate that holds a key, one user id, the key's signature of that, and nothing else,
// as OpenPGPCertificate makes it. It gives the certificate without armor, too.
func ReadMinimalOpenPGP(text []byte) (key *OpenPGP, binary []byte, err error) {
	binary, err = OpenPGPBinary(text)
	if err != nil {
		return nil, nil, err
	}
	keys, err := ReadOpenPGP(binary)
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
	err := Armored(&out, openpgp.PublicKeyType, func(w io.Writer) error {
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
	read, err := ReadOpenPGP(text)
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
	return nil, fmt.Errorf("%w: the key of the OpenPGP certificate %X is none of %s", ErrKey, key.Fingerprint, OpenPGPKinds)
}

// Armored writes a block with its CRC, without which gpgv 2.2 reports half of all good signatures with an error.
func Armored(out io.Writer, kind string, body func(io.Writer) error) error {
	w, err := armor.EncodeWithChecksumOption(out, kind, nil, true)
	if err != nil {
		return err
	}
	if err := body(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(out, "\n")
	return err
}
