package format

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"

	"github.com/sassoftware/relic/v8/lib/zipslicer"
)

// maxZipText is the longest list or signature in an archive, in bytes; maxZipList is that of the archive's own list.
const (
	maxZipText = 16 << 20
	maxZipList = 256 << 20
)

// archive is a ZIP file: a Java archive, an Android or a Windows package.
type archive struct {
	*zip.Reader
	in   *os.File
	size int64
	list int64 // where its list of files begins
}

func isZip(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }

// readZip reads the list of a ZIP file's files. Those that isText names are no longer than maxZipText, and no name is there twice.
func readZip(in *os.File, isText func(string) bool) (*archive, error) {
	size, err := sizeOf(in)
	if err != nil {
		return nil, err
	}
	list, err := zipslicer.FindDirectory(in, size)
	if err != nil || list < 0 || list > size || size-list > maxZipList {
		return nil, broken("it is no ZIP file, has a comment, or its list of files is broken or longer than %d bytes", maxZipList)
	}
	r, err := zip.NewReader(in, size)
	if err != nil {
		return nil, broken("it is no ZIP file: %v", err)
	}
	names := make(map[string]bool, len(r.File))
	for _, f := range r.File {
		name := f.Name
		if isText(name) {
			name = strings.ToUpper(name) // as readers look for these
			if f.UncompressedSize64 > maxZipText {
				return nil, broken("%s in the archive is longer than %d bytes", f.Name, maxZipText)
			}
			if err := drain(f); err != nil { // that this is its length
				return nil, err
			}
		}
		if names[name] {
			return nil, broken("the archive holds two files %s", f.Name)
		}
		names[name] = true
	}
	return &archive{Reader: r, in: in, size: size, list: list}, nil
}

func drain(f *zip.File) error {
	_, err := zipDigest(f, crypto.SHA256)
	return err
}

// zipDigest hashes what a file of an archive is.
func zipDigest(f *zip.File, h crypto.Hash) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, broken("%s in the archive: %v", f.Name, err)
	}
	defer r.Close()
	sum, err := digest(h, r)
	if err != nil {
		return nil, broken("%s in the archive: %v", f.Name, err)
	}
	return sum, nil
}

// file finds a file of the archive; nil for none.
func (a *archive) file(name string) *zip.File {
	for _, f := range a.File {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// text reads a file of the archive.
func (a *archive) text(name string) ([]byte, error) {
	f := a.file(name)
	if f == nil {
		return nil, broken("the archive holds no %s", name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, broken("%s in the archive: %v", name, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxZipText))
	if err != nil {
		return nil, broken("%s in the archive: %v", name, err)
	}
	return text, nil
}

// stream is the archive as the library reads it: its list of files, then all of it, as a tar file. Close it.
func (a *archive) stream() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		err := tarPart(t, zipslicer.TarMemberCD, io.NewSectionReader(a.in, a.list, a.size-a.list))
		if err == nil {
			err = tarPart(t, zipslicer.TarMemberZip, io.NewSectionReader(a.in, 0, a.size))
		}
		if err == nil {
			err = t.Close()
		}
		_ = w.CloseWithError(err)
	}()
	return r
}

func tarPart(t *tar.Writer, name string, part *io.SectionReader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: part.Size()}); err != nil {
		return err
	}
	_, err := io.Copy(t, part)
	return err
}

// dense reads the archive as the library writes it, file after file, and gives the end of the last one. A gap between
// them would be lost.
func (a *archive) dense() (*zipslicer.Directory, int64, error) {
	d, err := zipslicer.Read(a.in, a.size)
	if err != nil {
		return nil, 0, broken("a ZIP file: %v", err)
	}
	end := int64(0)
	for _, f := range d.File {
		size, err := f.GetTotalSize()
		if err != nil {
			return nil, 0, broken("%s in the archive: %v", f.Name, err)
		}
		if int64(f.Offset) != end {
			return nil, 0, broken("there is something between the files of the archive, at %d: pack it again", end)
		}
		end += size
	}
	return d, end, nil
}

// The header in front of a file of an archive (APPNOTE, 4.3.7).
type zipLocal struct {
	Signature              uint32
	Version, Flags, Method uint16
	Time, Date             uint16
	CRC32                  uint32
	Packed, Unpacked       uint32
	NameLength, Extra      uint16
}

// zipSizesBehind is the flag of a file whose sizes stand behind it, and not in front.
const zipSizesBehind = 8

// sameHeaders refuses a file that has another name, kind or size to those who read the archive from its beginning, and
// not from its list of files.
func sameHeaders(f *zipslicer.File) error {
	text, err := f.GetLocalHeader()
	if err != nil {
		return broken("%s in the archive: %v", f.Name, err)
	}
	var h zipLocal
	if _, err := binary.Decode(text, binary.LittleEndian, &h); err != nil {
		return broken("%s in the archive: %v", f.Name, err)
	}
	name := text[binary.Size(h):][:h.NameLength]
	if string(name) != f.Name || h.Method != f.Method || h.Flags != f.Flags {
		return broken("the header in front of %s in the archive is not as the list of files says: pack it again", f.Name)
	}
	behind, long := h.Flags&zipSizesBehind != 0, h.Packed == math.MaxUint32 || h.Unpacked == math.MaxUint32
	if !behind && !long && (h.CRC32 != f.CRC32 || uint64(h.Packed) != f.CompressedSize || uint64(h.Unpacked) != f.UncompressedSize) {
		return broken("the sizes in front of %s in the archive are not those of the list of files: pack it again", f.Name)
	}
	return nil
}

// packed refuses an archive with anything but its files before its list of them. With long, sizes behind a file have to
// be of 64 bits, as verifiers read them in the ZIP64 file that a signed Windows package is.
func (a *archive) packed(long bool) error {
	d, end, err := a.dense()
	if err != nil {
		return err
	}
	if end != a.list {
		return broken("there is something between the files of the archive and its list of them, at %d: pack it again", end)
	}
	for _, f := range d.File {
		if !long {
			if err := sameHeaders(f); err != nil {
				return err
			}
			continue
		}
		if sizes, err := f.GetDataDescriptor(); err != nil || len(sizes) == shortSizes {
			return broken("the sizes of %s stand behind it, with 32 bits: pack it as MakeAppx does", f.Name)
		}
	}
	return nil
}

// shortSizes is how long the record of sizes behind a file is where these are of 32 bits.
const shortSizes = 16
