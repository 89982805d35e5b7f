package format

import (
	"bufio"
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// maxPGP is how many signatures are looked at where there are several.
const maxPGP = 16

// pgpSigned is nil if one of the signatures is of this kind, by a trusted key and over what signed reads from its beginning.
func (t *Trust) pgpSigned(kind packet.SignatureType, signatures io.Reader, signed func() io.Reader) error {
	all, err := readPGP(signatures)
	if err != nil {
		return err
	}
	for _, sig := range all {
		if sig.SigType != kind {
			err = notGood("it is an OpenPGP signature of type %#x, not %#x", uint8(sig.SigType), uint8(kind))
			continue
		}
		if err = t.byAny(func(key crypto.PublicKey) error { return pgpVerify(key, sig, signed()) }); err == nil {
			return nil
		}
	}
	return err
}

// readPGP reads at least one signature, armored or not.
func readPGP(r io.Reader) ([]*packet.Signature, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSignature))
	if err != nil { // of armor that the reader takes off
		return nil, fmt.Errorf("%w: %w", ErrNotSigned, err)
	}
	var all []*packet.Signature
	armored := bufio.NewReader(bytes.NewReader(text))
	for block, err := armor.Decode(armored); err == nil; block, err = armor.Decode(armored) {
		if all, err = readPGPPackets(all, block.Body); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		all, err = readPGPPackets(nil, bytes.NewReader(text))
	}
	if err == nil && len(all) == 0 {
		err = ErrNotSigned
	}
	return all, err
}

// readPGPPackets adds signatures to others. Those of kinds that the library does not know are left out.
func readPGPPackets(all []*packet.Signature, r io.Reader) ([]*packet.Signature, error) {
	for {
		p, err := packet.Read(r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if errors.As(err, new(pgperrors.UnsupportedError)) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotSigned, err)
		}
		sig, ok := p.(*packet.Signature)
		if !ok {
			return nil, fmt.Errorf("%w: it is another OpenPGP packet", ErrNotSigned)
		}
		if all = append(all, sig); len(all) > maxPGP {
			return nil, notGood("there are more than %d signatures", maxPGP)
		}
	}
}

// pgpVerify checks a signature over r with a key whose creation time need not be known.
func pgpVerify(key crypto.PublicKey, sig *packet.Signature, r io.Reader) error {
	if !isRSAOrNIST(key) {
		return notGood("OpenPGP takes %s here, not %s", pgpKeys, publickey.KindOf(key))
	}
	if sig.Hash.Size() < crypto.SHA256.Size() {
		return notGood("its hash, %s, is too weak", sig.Hash)
	}
	h, err := sig.PrepareVerify()
	if err != nil {
		return notGood("%v", err)
	}
	if _, err := io.Copy(pgpHash(h, sig.SigType), r); err != nil {
		return err
	}
	if err := pgpPublic(key, time.Unix(0, 0)).VerifySignature(h, sig); err != nil {
		return notGood("it names %s as its signer: %v", pgpIssuer(sig), err)
	}
	if sig.SigExpired(time.Now()) {
		return notGood("it has expired")
	}
	return nil
}

// pgpIssuer is who a signature says has made it.
func pgpIssuer(sig *packet.Signature) string {
	switch {
	case len(sig.IssuerFingerprint) > 0:
		return fmt.Sprintf("the OpenPGP key %X", sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("the OpenPGP key id %016X", *sig.IssuerKeyId)
	}
	return "nobody"
}
