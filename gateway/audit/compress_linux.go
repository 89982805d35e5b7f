package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	newSuffix = ".new" // of a file that is not finished

	stepPack     step = "pack"      // the compressed segment is written and made durable
	stepPackName step = "pack name" // it gets its name
	stepDrop     step = "drop"      // the original goes
)

// compress compresses the closed segments that are not yet.
func (k *keeper) compress(ctx context.Context) error {
	for _, s := range k.segments() {
		if s.Compressed {
			continue
		}
		if err := k.compressOne(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.File, err)
		}
	}
	return nil
}

// compressOne makes FIRST-LAST.log.zst of FIRST-LAST.log. As long as the original is there, it is what counts.
func (k *keeper) compressOne(ctx context.Context, s Segment) error {
	name := strings.TrimSuffix(s.File, plainSuffix) + packedSuffix
	packed := Segment{File: name, First: s.First, Last: s.Last, Compressed: true, prev: s.prev, sum: s.sum}
	// A crash leaves an unfinished file, which the next attempt or Open removes.
	err := k.opts.do(stepPack, 0, func(int) (err error) {
		packed.Size, err = packFile(ctx, s, name+newSuffix)
		return err
	})
	if err != nil {
		return both(err, ignore(os.Remove(name+newSuffix), fs.ErrNotExist))
	}
	// A crash leaves both; Open removes the compressed one, and it is made anew.
	err = k.opts.do(stepPackName, 0, func(int) error {
		return both(os.Rename(name+newSuffix, name), syncDir(filepath.Dir(name)))
	})
	if err != nil {
		return err
	}
	return k.opts.do(stepDrop, 0, func(int) error {
		k.replace(s.First, packed) // first, so that the original is not missed
		return both(os.Remove(s.File), syncDir(filepath.Dir(name)))
	})
}

// packFile compresses a segment into a new file, reads it back, and gives its size.
func packFile(ctx context.Context, s Segment, name string) (int64, error) {
	in, err := os.Open(s.File)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }() // read only
	out, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = out.Close() }() // it is synced, or an error is on its way
	sum, err := pack(&paced{ctx: ctx, r: in, f: out}, s.First, s.Last, out)
	if err == nil {
		err = out.Sync()
	}
	if err != nil {
		return 0, err
	}
	info, err := out.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), readBack(ctx, name, s, sum)
}

// readBack is nil if the compressed file holds the lines with the given hash, between the segment's ends.
func readBack(ctx context.Context, name string, s Segment, sum hash) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	u, err := newUnpacker(f)
	if err != nil {
		return both(err, f.Close())
	}
	defer func() { _ = u.close() }() // read only
	all := sha256.New()
	if _, err := io.Copy(all, &paced{ctx: ctx, r: u}); err != nil {
		return err
	}
	if hash(all.Sum(nil)) != sum || u.index.first.sum != s.prev || u.index.last.sum != s.sum {
		return errCompressed
	}
	return nil
}

// paced reads until the context ends. It has what was written to f meanwhile put on the disk piece by piece, so that no
// sync of the log has to wait for all of it.
type paced struct {
	ctx  context.Context
	r    io.Reader
	f    *os.File
	read int
}

const pace = 16 << 20

func (p *paced) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	if p.read += n; p.f != nil && p.read >= pace && err == nil {
		p.read = 0
		err = fdatasync(p.f)
	}
	return n, err
}

// tidy removes what a crash has left of compressing: files that are not finished, and compressed ones whose original is
// there. The caller holds the log's lock.
func tidy(path string) error {
	dir := SegmentsPath(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	plain := make(map[string]bool)
	for _, e := range entries { // sorted: the original comes before the compressed one
		plain[e.Name()] = true
		stem, packed := strings.CutSuffix(e.Name(), packedSuffix)
		if strings.HasSuffix(e.Name(), newSuffix) || packed && plain[stem+plainSuffix] {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return ignore(os.Remove(path+nextSuffix), fs.ErrNotExist)
}
