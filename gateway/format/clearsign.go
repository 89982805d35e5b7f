package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// maxText is the longest file that is signed in one piece, in bytes.
const maxText = 64 << 20

// Clearsign is a text with its signature around it.
var Clearsign = &Format{
	Name: "clearsign", Summary: "a text, with an OpenPGP signature around it; gpg, gpgv", Keys: pgpKeys, Dated: true, suits: isRSAOrNIST,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		text, err := readText(in)
		if err != nil {
			return err
		}
		return clearsigned(k, text, out)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error { return verifyClearsigned(t, in, nil) },
}

// verifyClearsigned checks a text with its signature around it. It has to be this text, unless that is nil.
func verifyClearsigned(t *Trust, in io.Reader, want []byte) error {
	text, err := readText(in)
	if err != nil {
		return err
	}
	block, rest := clearsign.Decode(text)
	switch {
	case block == nil:
		return ErrNotSigned
	case len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNED MESSAGE-----")):
		return notGood("there is text outside of what is signed")
	case want != nil && !bytes.Equal(bytes.TrimRight(block.Plaintext, "\n"), bytes.TrimRight(want, "\n")):
		return notGood("it is of another text")
	}
	return t.pgpSigned(packet.SigTypeText, block.ArmoredSignature.Body, func() io.Reader { return bytes.NewReader(block.Bytes) })
}

func readText(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("a file of more than %d bytes is not signed in one piece: use openpgp", maxText)
	}
	return text, err
}

var signatureStart = []byte("\n-----BEGIN PGP SIGNATURE-----")

// clearsigned writes a text with its signature around it.
func clearsigned(k *Key, text []byte, out io.Writer) error {
	var made bytes.Buffer
	err := byKey(k, func(private *packet.PrivateKey) error {
		w, err := clearsign.Encode(&made, private, pgpConfig(k))
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return errors.Join(err, w.Close())
	})
	if err != nil {
		return err
	}
	// The library leaves out the CRC of the armor.
	at := bytes.LastIndex(made.Bytes(), signatureStart) + 1
	block, err := armor.Decode(bytes.NewReader(made.Bytes()[at:]))
	if err != nil {
		return err
	}
	if _, err := out.Write(made.Bytes()[:at]); err != nil {
		return err
	}
	return publickey.Armored(out, openpgp.SignatureType, func(w io.Writer) error {
		_, err := io.Copy(w, block.Body)
		return err
	})
}
