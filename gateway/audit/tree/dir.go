package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Dir is the folder of a tree.
type Dir string

// DirOf is where the tree of the log at path lies.
func DirOf(path string) Dir { return Dir(path + ".tree") }

// Names in the folder.
const (
	checkpointName = "checkpoint"
	historyName    = "checkpoints"
	keyName        = "key"
)

func (d Dir) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

// TileName is the name of a tile under the folder, and under the address of the log: tile/<L>/<N>[.p/<W>], or
// tile/entries/<N>[.p/<W>] for the level -1, the records themselves.
func TileName(t tlog.Tile) string {
	name := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	if entries, ok := strings.CutPrefix(name, "data/"); ok {
		name = "entries/" + entries
	}
	return "tile/" + name
}

// ParseTileName reads such a name. Its level is -1 for tile/entries/<N>[.p/<W>], the records themselves.
func ParseTileName(name string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if entries, found := strings.CutPrefix(rest, "entries/"); found {
		rest = "data/" + entries
	} else if strings.HasPrefix(rest, "data/") {
		ok = false
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", height, rest))
	if !ok || err != nil || t.L > 63 {
		return tlog.Tile{}, fmt.Errorf("%q does not name a tile: it should be tile/<level>/<number>[.p/<width>] or tile/entries/<number>[.p/<width>]", name)
	}
	return t, nil
}

// ReadTile reads a tile. A full tile serves for each part of it, which may be gone by then.
func (d Dir) ReadTile(t tlog.Tile) ([]byte, error) {
	data, err := os.ReadFile(d.path(TileName(t)))
	if t.W < width && errors.Is(err, fs.ErrNotExist) {
		whole := t
		whole.W = width
		data, err = os.ReadFile(d.path(TileName(whole)))
		data = data[:min(len(data), t.W*tlog.HashSize)]
	}
	if err == nil && len(data) != t.W*tlog.HashSize {
		err = fmt.Errorf("%s has %d bytes and should have %d", d.path(TileName(t)), len(data), t.W*tlog.HashSize)
	}
	return data, err
}

// tiles lets package tlog read the tiles. What it reads, it compares with the root that it is to prove for.
type tiles struct{ d Dir }

func (r tiles) Height() int                     { return height }
func (r tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (r tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, t := range wanted {
		var err error
		if data[i], err = r.d.ReadTile(t); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// hashes reads hashes of the tree t that are proven to be in it.
func (d Dir) hashes(t tlog.Tree) tlog.HashReader { return tlog.TileHashReader(t, tiles{d}) }

// ProveRecord proves that record seq is in the tree, as far as the tiles show it.
func (d Dir) ProveRecord(t tlog.Tree, seq uint64) (tlog.RecordProof, error) {
	if seq == 0 || seq > uint64(t.N) {
		return nil, fmt.Errorf("record %d is not in a tree of %d records", seq, t.N)
	}
	return tlog.ProveRecord(t.N, int64(seq)-1, d.hashes(t))
}

// ProveTree proves that the tree newer begins with all that older holds. Every tree continues the empty one.
func (d Dir) ProveTree(newer, older tlog.Tree) (tlog.TreeProof, error) {
	if older.N == 0 {
		return nil, nil
	}
	return tlog.ProveTree(newer.N, older.N, d.hashes(newer))
}

// CheckTree checks such a proof.
func CheckTree(p tlog.TreeProof, newer, older tlog.Tree) error {
	if older.N == 0 && len(p) == 0 {
		return nil
	}
	return tlog.CheckTree(p, newer.N, newer.Hash, older.N, older.Hash)
}

// Load reads the edge of the tree of that size. Whether it is the right one, its Tree tells.
func (d Dir) Load(size int64) (*Edge, error) {
	e := &Edge{size: size}
	for level := 0; size>>(height*level) > 0; level++ {
		tile := make([]byte, 0, width*tlog.HashSize)
		if t := edgeTile(size, level); t.W > 0 {
			data, err := d.ReadTile(t)
			if err != nil {
				return nil, err
			}
			tile = append(tile, data...)
		}
		e.tiles = append(e.tiles, tile)
	}
	return e, nil
}
