package format

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/sassoftware/go-rpmutils"
)

var rpmMagic = []byte{0xed, 0xab, 0xee, 0xdb}

// RPM is an RPM package with OpenPGP signatures of its header and of header and payload. Two signatures are made.
var RPM = &Format{
	Name: "rpm", Summary: "an RPM package; rpmkeys -K", Keys: "RSA", Dated: true, suits: isRSA, // the library writes RSA's tags for every key
	Fits: func(_ string, head []byte) bool { return bytes.HasPrefix(head, rpmMagic) },
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		if err := checkRPM(in); err != nil {
			return err
		}
		var header *rpmutils.RpmHeader
		err := byKey(k, func(private *packet.PrivateKey) (err error) {
			header, err = rpmutils.SignRpmStream(in, private, &rpmutils.SignatureOptions{Hash: hashFor(k.Public()), CreationTime: k.now()})
			if err != nil && private.PrivateKey.(*faithful).err == nil {
				err = broken("an RPM package: %v", err)
			}
			return err
		})
		if err != nil {
			return err
		}
		start, err := header.DumpSignatureHeader(false)
		if err != nil {
			return err
		}
		if _, err := in.Seek(int64(header.OriginalSignatureHeaderSize()), io.SeekStart); err != nil {
			return err
		}
		_, err = io.Copy(out, io.MultiReader(bytes.NewReader(start), in))
		return err
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		if err := checkRPM(in); err != nil {
			return err
		}
		header, err := rpmutils.ReadHeader(in)
		if err != nil {
			return broken("it is no RPM package: %v", err)
		}
		size, err := in.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		r := header.GetRange()
		for _, part := range []struct {
			tag  int
			size int64
		}{{rpmutils.SIG_RSA, int64(r.End - r.Start)}, {rpmutils.SIG_PGP, size - int64(r.Start)}} {
			blob, err := header.GetBytes(part.tag)
			if errors.As(err, new(rpmutils.NoSuchTagError)) {
				return ErrNotSigned
			}
			if err != nil {
				return notGood("%v", err)
			}
			signed := func() io.Reader { return io.NewSectionReader(in, int64(r.Start), part.size) }
			if err := t.pgpSigned(packet.SigTypeBinary, bytes.NewReader(blob), signed); err != nil {
				return err
			}
		}
		return nil
	},
}
