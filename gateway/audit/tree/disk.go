package tree

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/whole"
)

// disk writes the files of a tree. All of it goes through do, so that tests can make each step fail.
type disk struct {
	dir   Dir
	fault func(step) failure // nil outside tests
}

// step is one thing that is done on the way to a checkpoint.
type step string

const (
	stepTile       step = "tile"       // the file of a tile is written and synced
	stepTiles      step = "tiles"      // the names of tiles are synced
	stepSign       step = "sign"       // the token signs
	stepHistory    step = "history"    // the checkpoint is added to the file of all of them
	stepSync       step = "sync"       // and that is made durable
	stepCheckpoint step = "checkpoint" // it is published
	stepTidy       step = "tidy"       // what it made needless is removed
	stepThin       step = "thin"       // the file of all checkpoints is replaced by a shorter one
)

// failure is what a test wants to happen at a step.
type failure struct {
	err  error
	part float64 // of the step that is really done before it fails: 0 failed, 1 failed but persisted
}

// do runs a step of n bytes, or one that is done whole if n is 0.
func (d *disk) do(s step, n int, run func(n int) error) error {
	if d.fault == nil {
		return run(n)
	}
	f := d.fault(s)
	if f.err == nil {
		return run(n)
	}
	if done := int(f.part * float64(n)); done > 0 || f.part == 1 {
		return errors.Join(f.err, run(done))
	}
	return f.err
}

// replace puts a file with that content in the place of whatever is there. Its content is durable, its name not yet.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return whole.Replace(path, data, 0o600)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error { return whole.SyncDir(dir) }

// filled is a tile that is to be written.
type filled struct {
	tile tlog.Tile
	data []byte
}

// writeTiles makes tiles durable. Those that are there already, after a crash, are written again with the same bytes.
func (d *disk) writeTiles(list []filled) error {
	folders := make(map[string]bool)
	for _, t := range list {
		name := d.dir.path(TileName(t.tile))
		if err := d.do(stepTile, len(t.data), func(n int) error { return replace(name, t.data[:n]) }); err != nil {
			return err
		}
		for folder := filepath.Dir(name); !folders[folder] && folder != filepath.Dir(d.dir.path("")); folder = filepath.Dir(folder) {
			folders[folder] = true
		}
	}
	return d.do(stepTiles, 0, func(int) error {
		for folder := range folders {
			if err := syncDir(folder); err != nil {
				return err
			}
		}
		return nil
	})
}

// tidy removes the parts of tiles that are full now.
func (d *disk) tidy(full []tlog.Tile) error {
	return d.do(stepTidy, 0, func(int) error {
		for _, t := range full {
			if err := os.RemoveAll(d.dir.path(TileName(t)) + ".p"); err != nil {
				return err
			}
		}
		return nil
	})
}
