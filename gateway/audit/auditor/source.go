package auditor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Source is where a log's checkpoint, tiles and records are read. Nothing that it gives is believed.
type Source interface {
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile reads a tile, or a bundle of records for the level -1.
	Tile(ctx context.Context, t tlog.Tile) ([]byte, error)
}

// Folder is a log on this machine, or a copy.
type Folder struct {
	Tree tree.Dir
	Log  string // path of the records; "" where only the tree is there
}

// Open finds a log by its own path, or by that of its tree, PATH.tree.
func Open(path string) (Folder, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Folder{}, err
	case !info.IsDir():
		return Folder{Tree: tree.DirOf(path), Log: path}, nil
	}
	f := Folder{Tree: tree.Dir(path)}
	if log := strings.TrimSuffix(filepath.Clean(path), ".tree"); log != path {
		if _, err := os.Stat(log); err == nil {
			f.Log = log
		}
	}
	return f, nil
}

// Checkpoint reads the newest checkpoint.
func (f Folder) Checkpoint(context.Context) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f.Tree), "checkpoint"))
}

// Tile reads a tile, or records.
func (f Folder) Tile(_ context.Context, t tlog.Tile) ([]byte, error) {
	if t.L >= 0 {
		return f.Tree.ReadTile(t)
	}
	if f.Log == "" {
		return nil, fmt.Errorf("%s holds no records: name the log itself", f.Tree)
	}
	return tree.Bundle(f.Log, t)
}

// Remote is a log that is served under a prefix, as c2sp.org/tlog-tiles says.
type Remote struct {
	// Get fetches what has that name under the prefix. Its error is fs.ErrNotExist where there is nothing.
	Get func(ctx context.Context, name string) ([]byte, error)
}

// Checkpoint fetches the newest checkpoint.
func (r Remote) Checkpoint(ctx context.Context) ([]byte, error) { return r.Get(ctx, "checkpoint") }

// Tile fetches a tile or a bundle; the full one, where it has taken the place of the part that is asked for.
func (r Remote) Tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	data, err := r.Get(ctx, tree.TileName(t))
	if t.W == width || !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	whole := t
	whole.W = width
	data, err = r.Get(ctx, tree.TileName(whole))
	if err == nil && t.L >= 0 && len(data) >= t.W*tlog.HashSize {
		data = data[:t.W*tlog.HashSize]
	}
	return data, err
}

// Tiles have 256 hashes, and stand for 8 levels of the tree.
const (
	height = 8
	width  = 1 << height
)

// ErrTiles says that the tiles of a source do not make the root that its log has signed.
var ErrTiles = errors.New("the tiles are not those of the checkpoint")

// reader lets package tlog read the tiles of a source; it compares them with a tree's root. Some tiles are kept, since
// the upper ones are wanted again and again.
type reader struct {
	ctx   context.Context //nolint:containedctx // tlog.TileReader has no place for it
	from  Source
	kept  map[tlog.Tile][]byte
	cause error // why a tile could not be read
}

// maxKept is how many tiles are kept: 8 KiB each.
const maxKept = 32

// hashesOf gives hashes of a tree by the tiles of a source. That the tiles are wrong, ErrTiles tells from that they
// cannot be had.
func hashesOf(ctx context.Context, t tlog.Tree, from Source) tlog.HashReader {
	r := &reader{ctx: ctx, from: from, kept: map[tlog.Tile][]byte{}}
	checked := tlog.TileHashReader(t, r)
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		r.cause = nil
		hashes, err := checked.ReadHashes(indexes)
		switch {
		case r.cause != nil:
			return nil, r.cause
		case err != nil:
			return nil, fmt.Errorf("%w of %d records: %w", ErrTiles, t.N, err)
		}
		return hashes, nil
	})
}

func (r *reader) Height() int { return height }

func (r *reader) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, t := range wanted {
		if data[i] = r.kept[t]; data[i] != nil {
			continue
		}
		if data[i], r.cause = r.from.Tile(r.ctx, t); r.cause != nil {
			return nil, r.cause
		}
		if len(data[i]) != t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes and should have %d", tree.TileName(t), len(data[i]), t.W*tlog.HashSize)
		}
	}
	return data, nil
}

// SaveTiles keeps tiles that were found to be right.
func (r *reader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	if len(r.kept) > maxKept {
		clear(r.kept)
	}
	for i, t := range tiles {
		r.kept[t] = data[i]
	}
}
