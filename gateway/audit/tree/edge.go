package tree

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles have 256 hashes.
const (
	height = 8
	width  = 1 << height
)

// Edge is a growing tree, as far as it is still needed to grow: of each level the tile that is not full yet. The zero
// value is the empty tree. It takes up to 8 KiB a level, of which 10 million records have three.
type Edge struct {
	size  int64
	tiles [][]byte // by level: the hashes of the rightmost tile, fewer than 256
}

// Size is the number of leaves.
func (e *Edge) Size() int64 { return e.size }

// Add appends the leaf of a record's line. It gives full each tile that has become full, the lower level first; data
// belongs to the receiver. full may be nil.
func (e *Edge) Add(line []byte, full func(t tlog.Tile, data []byte)) {
	h := tlog.RecordHash(line)
	e.size++
	for level := 0; ; level++ {
		if level == len(e.tiles) {
			e.tiles = append(e.tiles, make([]byte, 0, width*tlog.HashSize))
		}
		e.tiles[level] = append(e.tiles[level], h[:]...)
		data := e.tiles[level]
		if len(data) < width*tlog.HashSize {
			return
		}
		h = root(data)
		if full == nil {
			e.tiles[level] = data[:0]
			continue
		}
		e.tiles[level] = make([]byte, 0, width*tlog.HashSize)
		full(tlog.Tile{H: height, L: level, N: e.size>>(height*(level+1)) - 1, W: width}, data)
	}
}

// root is the hash over a full tile: one hash in the tile above.
func root(data []byte) tlog.Hash {
	if len(data) == tlog.HashSize {
		return tlog.Hash(data)
	}
	half := len(data) / 2
	return tlog.NodeHash(root(data[:half]), root(data[half:]))
}

// Tree gives size and root hash.
func (e *Edge) Tree() (tlog.Tree, error) {
	h, err := tlog.TreeHash(e.size, tlog.HashReaderFunc(e.read))
	return tlog.Tree{N: e.size, Hash: h}, err
}

// read gives the hashes of the subtrees that the root is made from: all of them lie in tiles that are not full.
func (e *Edge) read(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		t := tlog.TileForIndex(height, x)
		if t.L >= len(e.tiles) || t.N != e.size>>(height*(t.L+1)) {
			return nil, fmt.Errorf("hash %d is not at the edge of a tree of %d records", x, e.size)
		}
		t.W = len(e.tiles[t.L]) / tlog.HashSize
		var err error
		if hashes[i], err = tlog.HashFromTile(t, e.tiles[t.L], x); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// unfilled gives the tiles that are not full and not empty.
func (e *Edge) unfilled() []filled {
	var list []filled
	for level, data := range e.tiles {
		if len(data) > 0 {
			list = append(list, filled{edgeTile(e.size, level), data})
		}
	}
	return list
}

// edgeTile is the tile at that level which a tree of that size does not fill; its width may be 0.
func edgeTile(size int64, level int) tlog.Tile {
	return tlog.Tile{H: height, L: level, N: size >> (height * (level + 1)), W: int(size >> (height * level) & (width - 1))}
}
