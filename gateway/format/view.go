package format

import (
	"bytes"
	"errors"
	"io"
	"sort"

	"github.com/sassoftware/relic/v8/lib/binpatch"
)

// view is a file with changes that are not made yet. It reads from the file what is unchanged.
type view struct {
	parts []viewPart
	size  int64
}

type viewPart struct {
	start int64
	*io.SectionReader
}

// changed is the first size bytes of a file with changes, which are in the order of their places and do not overlap.
func changed(in io.ReaderAt, size int64, p *binpatch.PatchSet) (*view, error) {
	v, at := &view{}, int64(0)
	for i, c := range p.Patches {
		if c.Offset < at || c.Offset+int64(c.OldSize) > size {
			return nil, errors.New("a change of the artifact is not where it can be")
		}
		v.add(in, at, c.Offset-at)
		v.add(bytes.NewReader(p.Blobs[i]), 0, int64(len(p.Blobs[i])))
		at = c.Offset + int64(c.OldSize)
	}
	v.add(in, at, size-at)
	return v, nil
}

func (v *view) add(r io.ReaderAt, from, size int64) {
	if size > 0 {
		v.parts = append(v.parts, viewPart{v.size, io.NewSectionReader(r, from, size)})
		v.size += size
	}
}

// ReadAt implements [io.ReaderAt].
func (v *view) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 {
		return 0, errors.New("a place before the beginning of the artifact")
	}
	done := 0
	i := sort.Search(len(v.parts), func(i int) bool { return v.parts[i].start+v.parts[i].Size() > at })
	for ; i < len(v.parts) && done < len(b); i++ {
		p := v.parts[i]
		n, err := p.ReadAt(b[done:], at+int64(done)-p.start)
		done += n
		if err != nil && !errors.Is(err, io.EOF) {
			return done, err
		}
		if at+int64(done) < p.start+p.Size() && done < len(b) {
			return done, io.ErrUnexpectedEOF // the file has become shorter
		}
	}
	if done < len(b) {
		return done, io.EOF
	}
	return done, nil
}

// reader reads all of it.
func (v *view) reader() *io.SectionReader { return io.NewSectionReader(v, 0, v.size) }

// writeTo writes all of it.
func (v *view) writeTo(out io.Writer) error {
	_, err := io.Copy(out, v.reader())
	return err
}

// writeChanged writes a file with changes.
func writeChanged(out io.Writer, in io.ReaderAt, size int64, p *binpatch.PatchSet) error {
	v, err := changed(in, size, p)
	if err != nil {
		return err
	}
	return v.writeTo(out)
}
