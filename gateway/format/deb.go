package format

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// debOrigin is the member that holds the signature of who made a package (debsigs). Those of others' signatures begin as
// debSignature.
const (
	debOrigin    = "_gpgorigin"
	debSignature = "_gpg"
)

// DEB is a Debian package with debsigs' signature of its origin.
var DEB = &Format{
	Name: "deb", Summary: "a Debian package, with debsigs' _gpgorigin in it; debsig-verify", Keys: pgpKeys, Dated: true, suits: isRSAOrNIST,
	Fits: func(name string, head []byte) bool {
		return strings.HasSuffix(name, ".deb") && bytes.HasPrefix(head, []byte(arMagic))
	},
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		p, err := readDeb(in)
		if err != nil {
			return err
		}
		sig, err := pgpSign(k, packet.SigTypeBinary, p.signed())
		if err != nil {
			return err
		}
		var body bytes.Buffer
		if err := sig.Serialize(&body); err != nil {
			return err
		}
		if err := p.copyWithout(out); err != nil {
			return err
		}
		return writeAr(out, debOrigin, k.now().Unix(), body.Bytes())
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		p, err := readDeb(in)
		if err != nil {
			return err
		}
		if p.origin == nil {
			return ErrNotSigned
		}
		return t.pgpSigned(packet.SigTypeBinary, io.NewSectionReader(in, p.origin.body, p.origin.size), p.signed)
	},
}

// deb is a package: its three members that are signed, and what else is there.
type deb struct {
	in     io.ReaderAt
	all    []arMember
	parts  []arMember // debian-binary, control.tar.*, data.tar.*
	origin *arMember
}

func readDeb(in io.ReaderAt) (*deb, error) {
	all, err := readAr(in)
	if err != nil {
		return nil, err
	}
	d := &deb{in: in, all: all}
	wants := []string{"debian-binary", "control.tar", "data.tar"}
	for i, m := range all {
		switch {
		case m.name == debOrigin && d.origin != nil:
			return nil, broken("the package holds two members %s", debOrigin)
		case m.name == debOrigin:
			d.origin = &all[i]
		case strings.HasPrefix(m.name, debSignature): // by another, which dpkg does not look at
		case len(d.parts) == len(wants):
			return nil, broken("the package has %s behind %s: only signatures stand there, since nothing else is signed", m.name, wants[len(wants)-1])
		case m.name != wants[len(d.parts)] && (len(d.parts) == 0 || !strings.HasPrefix(m.name, wants[len(d.parts)]+".")):
			return nil, broken("the package has %s where %s should be", m.name, wants[len(d.parts)])
		default:
			d.parts = append(d.parts, m)
		}
		if len(d.parts) == 0 {
			return nil, broken("the package has %s where %s should be", m.name, wants[0])
		}
	}
	if len(d.parts) != len(wants) {
		return nil, broken("the package has no %s", wants[len(d.parts)])
	}
	return d, nil
}

// signed is what the signature is over.
func (d *deb) signed() io.Reader {
	var parts []io.Reader
	for _, m := range d.parts {
		parts = append(parts, io.NewSectionReader(d.in, m.body, m.size))
	}
	return io.MultiReader(parts...)
}

// copyWithout writes the package without its signature.
func (d *deb) copyWithout(out io.Writer) error {
	if _, err := io.WriteString(out, arMagic); err != nil {
		return err
	}
	for _, m := range d.all {
		if m.name == debOrigin {
			continue
		}
		n, err := io.Copy(out, io.NewSectionReader(d.in, m.start, m.end()-m.start))
		if err == nil && n < m.end()-m.start { // the last one, of odd length, without the byte that fills it up
			_, err = io.WriteString(out, "\n")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
