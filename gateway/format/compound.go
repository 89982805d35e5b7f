package format

import (
	"encoding/binary"
	"io"

	"github.com/sassoftware/relic/v8/lib/comdoc"
)

// compound is a compound file (Microsoft's MS-CFB), as far as its parts have to be sound for the library, which follows
// their chains without an end and makes room of the sizes that they state.
type compound struct {
	in      io.ReaderAt
	h       comdoc.Header
	sector  int64
	sectors int64 // how many there are
	next    []comdoc.SecID
}

// checkCompound refuses a compound file whose tables lead nowhere or in circles, and gives the end of its last sector that
// is used.
func checkCompound(in io.ReaderAt, size int64) (int64, error) {
	c := &compound{in: in}
	if err := binary.Read(io.NewSectionReader(in, 0, size), binary.LittleEndian, &c.h); err != nil {
		return 0, broken("it is no MSI file: it is too short")
	}
	if c.h.SectorSize != 9 && c.h.SectorSize != 12 || c.h.ShortSectorSize != 6 {
		return 0, broken("it is no MSI file, or has sectors of an unusual size")
	}
	c.sector = 1 << c.h.SectorSize
	c.sectors = size / c.sector
	if int64(c.h.SATSectors) > c.sectors || int64(c.h.SSATSectorCount) > c.sectors {
		return 0, broken("the tables of the MSI file are longer than the file")
	}
	if err := c.readNext(); err != nil {
		return 0, err
	}
	entries, err := c.readEntries()
	if err != nil {
		return 0, err
	}
	return c.end(), checkTrees(entries)
}

// end is where the last sector ends that is used. The header takes the first one.
func (c *compound) end() int64 {
	last := len(c.next) - 1
	for last >= 0 && c.next[last] == comdoc.SecIDFree {
		last--
	}
	return (int64(last) + 2) * c.sector
}

func (c *compound) read(id comdoc.SecID, to any) error {
	at := (int64(id) + 1) * c.sector
	if err := binary.Read(io.NewSectionReader(c.in, at, c.sector), binary.LittleEndian, to); err != nil {
		return broken("the MSI file has no sector %d", id)
	}
	return nil
}

// readNext reads the table of which sector follows which.
func (c *compound) readNext() error {
	list := c.h.MSAT[:]
	per := int(c.sector / 4)
	block := make([]comdoc.SecID, per)
	for id := c.h.MSATNextSector; id >= 0; id = block[per-1] {
		if int64(len(list)) > c.sectors+int64(len(c.h.MSAT)) {
			return broken("the tables of the MSI file lead in a circle")
		}
		if err := c.read(id, block); err != nil {
			return err
		}
		list = append(list[:len(list):len(list)], block[:per-1]...)
	}
	for _, id := range list {
		if id < 0 {
			continue
		}
		if int64(len(c.next)) > int64(c.h.SATSectors)*int64(per) {
			return broken("the MSI file has more tables than it states")
		}
		if err := c.read(id, block); err != nil {
			return err
		}
		c.next = append(c.next, block...)
	}
	return nil
}

// readEntries reads the names of streams and storages.
func (c *compound) readEntries() ([]comdoc.RawDirEnt, error) {
	var all []comdoc.RawDirEnt
	block := make([]comdoc.RawDirEnt, c.sector/int64(binary.Size(comdoc.RawDirEnt{})))
	for id, n := c.h.DirNextSector, int64(0); id >= 0; id, n = c.next[id], n+1 {
		if n > c.sectors || int(id) >= len(c.next) {
			return nil, broken("the directory of the MSI file leads in a circle, or out of it")
		}
		if err := c.read(id, block); err != nil {
			return nil, err
		}
		all = append(all, block...)
	}
	return all, nil
}

// checkTrees sees to it that no entry is in two trees, or twice in one.
func checkTrees(entries []comdoc.RawDirEnt) error {
	seen := make([]bool, len(entries))
	for _, storage := range entries {
		if storage.Type != comdoc.DirRoot && storage.Type != comdoc.DirStorage {
			continue
		}
		for left := []int32{storage.StorageRoot}; len(left) > 0; {
			at := left[len(left)-1]
			left = left[:len(left)-1]
			if at == -1 {
				continue
			}
			if at < 0 || int(at) >= len(entries) || seen[at] {
				return broken("the directory of the MSI file is no tree")
			}
			seen[at] = true
			left = append(left, entries[at].LeftChild, entries[at].RightChild)
		}
	}
	return nil
}
