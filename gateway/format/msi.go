package format

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"

	"github.com/sassoftware/relic/v8/lib/authenticode"
	"github.com/sassoftware/relic/v8/lib/comdoc"
)

var compoundMagic = []byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}

// MSI is a Windows Installer package with an Authenticode signature, which is also over the names and times in it
// (MsiDigitalSignatureEx). It is put together in a copy in the folder for temporary files.
var MSI = certified(Format{
	Name: "msi", Summary: "a Windows Installer package; signtool, osslsigncode", Stamped: true,
	Fits: func(name string, head []byte) bool {
		return bytes.HasPrefix(head, compoundMagic) && (strings.HasSuffix(name, ".msi") || strings.HasSuffix(name, ".msp"))
	},
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		doc, size, err := readMSI(in)
		if err != nil {
			return err
		}
		h := hashFor(k.Public())
		imprint, names, err := authenticode.DigestMSI(doc, h, true)
		if err != nil {
			return broken("an MSI file: %v", err)
		}
		sig, err := authenticode.SignMSIImprint(ctx, imprint, h, k.certificate(), nil)
		if err != nil {
			return err
		}
		return inCopy(in, size, out, func(file *os.File) error {
			doc, err := comdoc.WriteFile(file)
			if err != nil {
				return err
			}
			if err := authenticode.InsertMSISignature(doc, sig.Raw, names); err != nil {
				return err
			}
			return doc.Close()
		})
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		size, err := sizeOf(in)
		if err != nil {
			return err
		}
		end, err := checkCompound(in, size)
		if err != nil {
			return err
		}
		sig, err := authenticode.VerifyMSI(in, false)
		if err != nil {
			return checked(err)
		}
		if size > end { // no signature is over it
			return notGood("there are %d bytes behind the package", size-end)
		}
		if err := strongContent(sig.HashFunc); err != nil {
			return err
		}
		return t.signedBy(authenticodeSigning, &sig.TimestampedSignature)
	},
})

func readMSI(in *os.File) (*comdoc.ComDoc, int64, error) {
	size, err := sizeOf(in)
	if err != nil {
		return nil, 0, err
	}
	if _, err := checkCompound(in, size); err != nil {
		return nil, 0, err
	}
	doc, err := comdoc.ReadFile(in)
	if err != nil {
		return nil, 0, broken("it is no MSI file: %v", err)
	}
	return doc, size, nil
}

// inCopy changes a copy of a file and writes that to out. Nothing of it stays behind.
func inCopy(in io.ReaderAt, size int64, out io.Writer, change func(*os.File) error) (err error) {
	file, err := os.CreateTemp("", "hsmgate-")
	if err != nil {
		return err
	}
	_ = os.Remove(file.Name()) // where an open file can be removed, a kill leaves nothing either
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	if _, err := io.Copy(file, io.NewSectionReader(in, 0, size)); err != nil {
		return err
	}
	if err := change(file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}
