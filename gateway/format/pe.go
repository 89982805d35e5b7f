package format

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"io"
	"os"

	"github.com/sassoftware/relic/v8/lib/authenticode"
	"github.com/sassoftware/relic/v8/lib/binpatch"
)

// PE is a Windows or UEFI program, library or driver with an Authenticode signature.
var PE = certified(Format{
	Name: "pe", Summary: "a Windows or UEFI program, library or driver; signtool, osslsigncode, sbverify", Stamped: true,
	Fits: func(_ string, head []byte) bool {
		_, err := peHeader(bytes.NewReader(head))
		return err == nil
	},
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		p, err := readPE(in)
		if err != nil {
			return err
		}
		bare, err := p.bare(in)
		if err != nil {
			return err
		}
		digest, err := authenticode.DigestPE(bare.reader(), hashFor(k.Public()), false)
		if err != nil {
			return broken("a PE file whose parts are not in order: %v", err)
		}
		patch, _, err := digest.Sign(ctx, k.certificate(), nil)
		if err != nil {
			return err
		}
		signed, err := changed(bare, bare.size, patch)
		if err != nil {
			return err
		}
		sum := authenticode.NewPEChecksum(int(p.start))
		if err := signed.writeTo(sum); err != nil {
			return err
		}
		last := binpatch.New()
		last.Add(p.checksum, 4, sum.Sum(nil))
		return writeChanged(out, signed, signed.size, last)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		p, err := readPE(in)
		if err != nil {
			return err
		}
		if p.tableSize == 0 {
			return ErrNotSigned
		}
		if p.tableSize > maxCMS {
			return notGood("it is longer than %d bytes", maxCMS)
		}
		sigs, err := authenticode.VerifyPE(in, true)
		if err != nil {
			return checked(err)
		}
		first := &sigs[0] // which Windows takes; more may follow
		if err := t.signedBy(authenticodeSigning, &first.TimestampedSignature); err != nil {
			return err
		}
		sum, err := p.digest(first.ImageHashFunc, in)
		if err != nil {
			return err
		}
		return sameDigest(first.ImageHashFunc, first.Indirect.MessageDigest.Digest, sum)
	},
})

// pe is where the parts of a PE file are that its signature is not over (Microsoft's "PE Format").
type pe struct {
	size      int64
	start     int64 // of the PE header
	checksum  int64 // of 4 bytes
	directory int64 // of the entry of 8 bytes that says where the signatures are
	table     int64 // the signatures, which are the end of the file
	tableSize int64
	content   int64 // the end of all before the signatures
	raw       int64 // where the last section ends by its header
	sections  int64 // and with what fills it up
}

const (
	peDOSHeader  = 64
	peFileHeader = 24
	peSection    = 40
	peMaxStart   = 16 << 10 // linkers write a few hundred
	peMaxAlign   = 64 << 10
)

// peHeader finds the PE header behind the DOS program.
func peHeader(in io.ReaderAt) (int64, error) {
	dos := make([]byte, peDOSHeader)
	if _, err := in.ReadAt(dos, 0); err != nil || string(dos[:2]) != "MZ" {
		return 0, broken("it is no PE file: it does not begin with MZ")
	}
	start := int64(binary.LittleEndian.Uint32(dos[60:]))
	magic := make([]byte, 4)
	if start < 4 || start%4 != 0 || start > peMaxStart {
		return 0, broken("it is no PE file, or its header is at an unusual place, %d", start)
	}
	if _, err := in.ReadAt(magic, start); err != nil || string(magic) != "PE\x00\x00" {
		return 0, broken("it is no PE file: there is no PE header at %d", start)
	}
	return start, nil
}

func readPE(in *os.File) (*pe, error) {
	size, err := sizeOf(in)
	if err != nil {
		return nil, err
	}
	start, err := peHeader(in)
	if err != nil {
		return nil, err
	}
	head := make([]byte, peFileHeader)
	if _, err := in.ReadAt(head, start); err != nil {
		return nil, broken("it ends in the PE header")
	}
	optional := make([]byte, binary.LittleEndian.Uint16(head[20:]))
	sections := make([]byte, peSection*int(binary.LittleEndian.Uint16(head[6:])))
	opt := start + peFileHeader
	if _, err := in.ReadAt(optional, opt); err != nil {
		return nil, broken("it ends in the PE header")
	}
	if _, err := in.ReadAt(sections, opt+int64(len(optional))); err != nil {
		return nil, broken("it ends in the table of its sections")
	}
	p := &pe{size: size, start: start, checksum: opt + 64}
	if err := p.readOptional(optional, opt); err != nil {
		return nil, err
	}
	return p, p.readSections(sections, int64(binary.LittleEndian.Uint32(optional[36:])))
}

// readOptional reads the optional header, which is at opt.
func (p *pe) readOptional(h []byte, opt int64) error {
	var count int
	switch {
	case len(h) >= 136 && binary.LittleEndian.Uint16(h) == 0x10b:
		count, p.directory = 92, opt+128
	case len(h) >= 152 && binary.LittleEndian.Uint16(h) == 0x20b:
		count, p.directory = 108, opt+144
	default:
		return broken("a PE file without the header of an image, or with an unknown one")
	}
	if binary.LittleEndian.Uint32(h[count:]) < 5 {
		return broken("the header of the PE file has no room for a signature")
	}
	entry := h[p.directory-opt:]
	p.table, p.tableSize = int64(binary.LittleEndian.Uint32(entry)), int64(binary.LittleEndian.Uint32(entry[4:]))
	p.content = p.size
	if p.tableSize > 0 {
		if p.table+p.tableSize != p.size || p.table < p.directory+8 {
			return broken("the signatures of the PE file, %d bytes at %d, are not its end, %d", p.tableSize, p.table, p.size)
		}
		p.content = p.table
	}
	return nil
}

func (p *pe) readSections(table []byte, align int64) error {
	if align < 1 || align > peMaxAlign {
		return broken("the PE file says that its sections are aligned to %d bytes", align)
	}
	for ; len(table) > 0; table = table[peSection:] {
		size, at := int64(binary.LittleEndian.Uint32(table[16:])), int64(binary.LittleEndian.Uint32(table[20:]))
		if size == 0 {
			continue
		}
		p.raw = max(p.raw, at+size)
		p.sections = max(p.sections, at+(size+align-1)/align*align)
	}
	if p.raw > p.content {
		return broken("the PE file ends, at %d, within a section that ends at %d", p.content, p.raw)
	}
	return nil
}

// bare is the file without signatures, its last section filled up as the library has it.
func (p *pe) bare(in *os.File) (*view, error) {
	patch := binpatch.New()
	patch.Add(p.directory, 8, make([]byte, 8))
	patch.Add(p.content, 0, make([]byte, max(0, p.sections-p.content)))
	return changed(in, p.content, patch)
}

// digest is over all that a signature is over: the file but for its checksum, the place of the signatures, and these.
func (p *pe) digest(h crypto.Hash, in io.ReaderAt) ([]byte, error) {
	if err := strongContent(h); err != nil {
		return nil, err
	}
	return digest(h, io.MultiReader(
		io.NewSectionReader(in, 0, p.checksum),
		io.NewSectionReader(in, p.checksum+4, p.directory-p.checksum-4),
		io.NewSectionReader(in, p.directory+8, p.content-p.directory-8)))
}
