package format

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"math/bits"
	"net/mail"
	"os"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hsmgate/hsmgate/gateway/publickey"
)

const pgpKeys = publickey.OpenPGPKinds

// OpenPGP is a detached, armored signature (RFC 9580, version 4).
var OpenPGP = &Format{
	Name: "openpgp", Summary: "any file: a detached OpenPGP signature; gpg, gpgv, sq", Keys: pgpKeys, Output: ending(".asc"), Dated: true, suits: isRSAOrNIST,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		return publickey.Armored(out, openpgp.SignatureType, func(w io.Writer) error {
			sig, err := pgpSign(k, packet.SigTypeBinary, in)
			if err != nil {
				return err
			}
			return sig.Serialize(w)
		})
	},
	verify: func(t *Trust, in *os.File, signature io.Reader) error {
		return t.pgpSigned(packet.SigTypeBinary, signature, func() io.Reader { return io.NewSectionReader(in, 0, math.MaxInt64) })
	},
}

// pgpKey is the key of the gateway as an OpenPGP key. It has the same fingerprint whenever it is made, since Created is a
// property of the key.
func pgpKey(k *Key) *packet.PrivateKey {
	return &packet.PrivateKey{PublicKey: *pgpPublic(k.Public(), k.Created), PrivateKey: k.Signer}
}

// pgpPublic takes what isRSAOrNIST takes.
func pgpPublic(key crypto.PublicKey, created time.Time) *packet.PublicKey {
	created = created.UTC().Truncate(time.Second)
	if k, ok := key.(*rsa.PublicKey); ok {
		return packet.NewRSAPublicKey(created, k)
	}
	k := key.(*ecdsa.PublicKey)
	point, err := k.Bytes()
	if err != nil {
		panic("openpgp: a point of a curve that was checked: " + err.Error())
	}
	// The library makes keys of its own curves only from a packet (RFC 9580, 5.5.2).
	oid := pgpCurves[curveHash(k)]
	body := binary.BigEndian.AppendUint32([]byte{4}, uint32(created.Unix()))
	body = append(append(body, byte(packet.PubKeyAlgoECDSA), byte(len(oid))), oid...)
	body = binary.BigEndian.AppendUint16(body, uint16(8*(len(point)-1)+bits.Len8(point[0])))
	body = append(body, point...)
	read, err := packet.Read(bytes.NewReader(append([]byte{0xc0 | 6, byte(len(body))}, body...)))
	if err != nil {
		panic("openpgp: a public key that was made here: " + err.Error())
	}
	return read.(*packet.PublicKey)
}

// pgpCurves are the object identifiers of curves by the hash that goes with them.
var pgpCurves = map[crypto.Hash][]byte{
	crypto.SHA256: {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07},
	crypto.SHA384: {0x2b, 0x81, 0x04, 0x00, 0x22},
	crypto.SHA512: {0x2b, 0x81, 0x04, 0x00, 0x23},
}

// faithful keeps the error of the signer, which the library replaces.
type faithful struct {
	crypto.Signer
	err error
}

func (f *faithful) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	signature, f.err = f.Signer.Sign(rand, digest, opts)
	return signature, f.err
}

// byKey runs what signs with an OpenPGP key.
func byKey(k *Key, do func(*packet.PrivateKey) error) error {
	private, signer := pgpKey(k), &faithful{Signer: k.Signer}
	private.PrivateKey = signer
	if err := do(private); err != nil {
		return errors.Join(signer.err, err)
	}
	return signer.err
}

func pgpConfig(k *Key) *packet.Config {
	return &packet.Config{DefaultHash: hashFor(k.Public()), Time: k.now}
}

// pgpSign makes a signature packet over r.
func pgpSign(k *Key, kind packet.SignatureType, r io.Reader) (*packet.Signature, error) {
	config := pgpConfig(k)
	var sig *packet.Signature
	err := byKey(k, func(private *packet.PrivateKey) error {
		sig = &packet.Signature{Version: 4, SigType: kind, PubKeyAlgo: private.PubKeyAlgo, Hash: config.Hash(), CreationTime: config.Now(),
			IssuerKeyId: &private.KeyId, IssuerKeyVersion: 4, IssuerFingerprint: private.Fingerprint}
		h, err := sig.PrepareSign(config)
		if err != nil {
			return err
		}
		if _, err := io.Copy(pgpHash(h, kind), r); err != nil {
			return err
		}
		return sig.Sign(h, private, config)
	})
	return sig, err
}

// pgpHash hashes text with the ends of its lines as OpenPGP has them.
func pgpHash(h hash.Hash, kind packet.SignatureType) hash.Hash {
	if kind == packet.SigTypeText {
		return openpgp.NewCanonicalTextHash(h)
	}
	return h
}

// OpenPGPCreated is what gpg says of a signature that it made, as the text of a status line (GnuPG's doc/DETAILS,
// SIG_CREATED): its type, algorithms, class, time and the key's fingerprint.
func OpenPGPCreated(signature io.Reader) (string, error) {
	all, err := readPGP(signature)
	if err != nil {
		return "", err
	}
	sig := all[0]
	hash, _ := openpgp.HashToHashId(sig.Hash)
	return fmt.Sprintf("SIG_CREATED D %d %d %02x %d %X", sig.PubKeyAlgo, hash, uint8(sig.SigType), sig.CreationTime.Unix(), sig.IssuerFingerprint), nil
}

// OpenPGPCertificate writes the key's OpenPGP certificate, armored, with k.UserID, for those who verify.
func OpenPGPCertificate(k *Key, out io.Writer) error {
	if err := OpenPGP.Suits(k); err != nil {
		return err
	}
	who, err := mail.ParseAddress(k.UserID)
	if err != nil {
		return fmt.Errorf("%w: the user id %q should be a name and an address, such as \"Release <release@example.org>\"", ErrKey, k.UserID)
	}
	var e *openpgp.Entity
	config := pgpConfig(k)
	config.Time = func() time.Time { return k.Created } // of the binding, so that it is there since the key is
	err = byKey(k, func(private *packet.PrivateKey) error {
		e = &openpgp.Entity{PrimaryKey: &private.PublicKey, PrivateKey: private, Identities: map[string]*openpgp.Identity{}}
		return e.AddUserId(who.Name, "", who.Address, config)
	})
	if err != nil {
		return err
	}
	return publickey.Armored(out, openpgp.PublicKeyType, e.Serialize)
}
