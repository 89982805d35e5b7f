package tree

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func line(i int) []byte { return fmt.Appendf(nil, `{"seq":%d}`, i+1) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reference keeps every hash of a tree, as package tlog says.
type reference []tlog.Hash

func (r reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		hashes[i] = r[x]
	}
	return hashes, nil
}

func (r *reference) add(t testing.TB, n int) {
	hashes, err := tlog.StoredHashes(int64(n), line(n), *r)
	must(t, err)
	*r = append(*r, hashes...)
}

// At every size the root is that of package tlog, and the tiles are those it says must be there, with its hashes.
func TestEdgeIsTheTreeOfTlog(t *testing.T) {
	var e Edge
	var all reference
	written := make(map[tlog.Tile][]byte)
	check := func(n int) {
		tree, err := e.Tree()
		must(t, err)
		want, err := tlog.TreeHash(int64(n), all)
		must(t, err)
		if tree.N != int64(n) || tree.Hash != want {
			t.Fatalf("size %d: %v, want %v", n, tree, want)
		}
	}
	check(0)
	const size = 70000 // the example of c2sp.org/tlog-tiles
	for n := range size {
		all.add(t, n)
		e.Add(line(n), func(tile tlog.Tile, data []byte) { written[tile] = data })
		if n < 600 || n > 65000 && n < 66000 {
			check(n + 1)
		}
	}
	check(size)
	for _, p := range e.unfilled() {
		written[p.tile] = p.data
	}
	wanted := tlog.NewTiles(height, 0, size)
	if len(wanted) != len(written) || len(wanted) != 273+1+1+1+1 {
		t.Fatalf("%d tiles, want %d", len(written), len(wanted))
	}
	for _, tile := range wanted {
		data, err := tlog.ReadTileData(tile, all)
		must(t, err)
		if !bytes.Equal(data, written[tile]) {
			t.Fatal(tile.Path())
		}
	}
}

// treeOf is the tree of the first n lines.
func treeOf(t testing.TB, n int) tlog.Tree {
	t.Helper()
	var e Edge
	for i := range n {
		e.Add(line(i), nil)
	}
	tree, err := e.Tree()
	must(t, err)
	return tree
}

// dirOf writes the tree of the first n lines.
func dirOf(t testing.TB, n int) (Dir, tlog.Tree) {
	t.Helper()
	d := DirOf(t.TempDir() + "/audit.log")
	var e Edge
	var list []filled
	for i := range n {
		e.Add(line(i), func(tile tlog.Tile, data []byte) { list = append(list, filled{tile, data}) })
	}
	must(t, (&disk{dir: d}).writeTiles(append(list, e.unfilled()...)))
	tree, err := e.Tree()
	must(t, err)
	return d, tree
}

func TestLoadedEdgeGoesOn(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 511, 512, 65535, 65536, 65537, 66000} {
		d, tree := dirOf(t, n)
		e, err := d.Load(int64(n))
		must(t, err)
		if got, err := e.Tree(); err != nil || got != tree {
			t.Fatal(n, got, tree, err)
		}
		for i := n; i < n+300; i++ {
			e.Add(line(i), nil)
		}
		if got, err := e.Tree(); err != nil || got != treeOf(t, n+300) {
			t.Fatal(n, got, err)
		}
	}
}

func TestEachRecordAndEachOlderTreeIsProven(t *testing.T) {
	const n = 1000
	d, tree := dirOf(t, n)
	for seq := 1; seq <= n; seq += 1 + seq/7 {
		p, err := d.ProveRecord(tree, uint64(seq))
		must(t, err)
		must(t, tlog.CheckRecord(p, tree.N, tree.Hash, int64(seq-1), tlog.RecordHash(line(seq-1))))
		if tlog.CheckRecord(p, tree.N, tree.Hash, int64(seq-1), tlog.RecordHash(line(seq))) == nil {
			t.Fatal("the proof of a record proves another one")
		}
		older := treeOf(t, seq)
		q, err := d.ProveTree(tree, older)
		must(t, err)
		must(t, CheckTree(q, tree, older))
		older.Hash[0] ^= 1
		if CheckTree(q, tree, older) == nil {
			t.Fatal("a tree continues one that it does not hold")
		}
	}
	must(t, CheckTree(nil, tree, tlog.Tree{}))
	for _, seq := range []uint64{0, n + 1} {
		if _, err := d.ProveRecord(tree, seq); err == nil {
			t.Fatal("a record that is not there is proven")
		}
	}
}

func TestSpoiledTileProvesNothing(t *testing.T) {
	d, tree := dirOf(t, 1000)
	for _, name := range []string{"tile/0/000", "tile/0/003.p/232", "tile/1/000.p/3"} {
		path := d.path(name)
		data, err := os.ReadFile(path)
		must(t, err)
		for _, bad := range [][]byte{append(bytes.Clone(data[:7]), append([]byte{data[7] ^ 1}, data[8:]...)...), data[:100], {}, append(bytes.Clone(data), 0)} {
			must(t, os.WriteFile(path, bad, 0o600))
			if p, err := d.ProveRecord(tree, 10); err == nil {
				t.Fatalf("%s with %d bytes: %v", name, len(bad), p)
			}
		}
		must(t, os.WriteFile(path, data, 0o600))
		if _, err := d.ProveRecord(tree, 10); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamesOfTiles(t *testing.T) {
	for name, want := range map[string]tlog.Tile{
		"tile/0/000":                      {H: 8, L: 0, N: 0, W: 256},
		"tile/0/x001/x234/067.p/1":        {H: 8, L: 0, N: 1234067, W: 1},
		"tile/3/x001/000":                 {H: 8, L: 3, N: 1000, W: 256},
		"tile/entries/x001/x234/067.p/17": {H: 8, L: -1, N: 1234067, W: 17},
	} {
		got, err := ParseTileName(name)
		if err != nil || got != want || want.L >= 0 && TileName(want) != name {
			t.Fatal(name, got, err)
		}
	}
	for _, name := range []string{"", "tile/", "tile/0", "tile/0/0", "tile/0/1000", "tile/0/001/002", "tile/00/000", "tile/-1/000", "tile/64/000", "tile/data/000",
		"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/07", "tile/0/../000", "tile/0/x000/../../../checkpoint", "checkpoint", "tile/entries/../0/000", "tile//0/000", "/tile/0/000"} {
		if got, err := ParseTileName(name); err == nil {
			t.Fatal(name, got)
		}
	}
}
