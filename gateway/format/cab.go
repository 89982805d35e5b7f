package format

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"

	"github.com/sassoftware/relic/v8/lib/authenticode"
	"github.com/sassoftware/relic/v8/lib/cabfile"
)

// CAB is a Windows cabinet with an Authenticode signature.
var CAB = certified(Format{
	Name: "cab", Summary: "a Windows cabinet; signtool, osslsigncode", Stamped: true,
	Fits: func(_ string, head []byte) bool { return bytes.HasPrefix(head, []byte("MSCF")) },
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		size, err := checkCAB(in)
		if err != nil {
			return err
		}
		digest, err := cabfile.Digest(io.NewSectionReader(in, 0, size), hashFor(k.Public()))
		if err != nil {
			return broken("a cabinet: %v", err)
		}
		patch, _, err := authenticode.SignCabImprint(ctx, digest, k.certificate(), nil)
		if err != nil {
			return err
		}
		return writeChanged(out, in, size, patch)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		if _, err := checkCAB(in); err != nil {
			return err
		}
		sig, err := authenticode.VerifyCab(in, false)
		if err != nil {
			return checked(err)
		}
		if err := strongContent(sig.HashFunc); err != nil {
			return err
		}
		return t.signedBy(authenticodeSigning, &sig.TimestampedSignature)
	},
})

// cabHeader is the beginning of a cabinet, and what follows where space is reserved, as it is for a signature.
type cabHeader struct {
	cabfile.Header
	Reserve   cabfile.ReserveHeader
	Signature cabfile.SignatureHeader
}

// checkCAB refuses sizes in the header that cannot be, since the library makes room of these sizes.
func checkCAB(in *os.File) (int64, error) {
	size, err := sizeOf(in)
	if err != nil {
		return 0, err
	}
	var h cabHeader
	if err := binary.Read(io.NewSectionReader(in, 0, size), binary.LittleEndian, &h); err != nil || h.Magic != cabfile.Magic {
		return 0, broken("it is no cabinet, or a short one")
	}
	files := int64(binary.Size(h.Header)) + 8*int64(h.NumFolders)
	if h.Flags&cabfile.FlagReservePresent != 0 {
		files += int64(binary.Size(h.Reserve)) + int64(h.Reserve.HeaderSize)
		if int64(h.Reserve.HeaderSize) == int64(binary.Size(h.Signature)) && h.Signature.SignatureSize > maxCMS {
			return 0, broken("the cabinet says that its signature is of %d bytes", h.Signature.SignatureSize)
		}
	}
	switch {
	case h.Flags&^cabfile.FlagReservePresent != 0:
		return 0, broken("the cabinet is one of several, which is not signed")
	case int64(h.OffsetFiles) != files || h.TotalSize < h.OffsetFiles || int64(h.TotalSize) > size:
		return 0, broken("the sizes in the header of the cabinet do not fit its %d bytes", size)
	}
	return size, nil
}
