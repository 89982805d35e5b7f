// Package whole replaces files so that a crash leaves the one before or the new one, and never a part.
package whole

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write puts a file with that content and mode in the place of whatever is at path, and returns when it outlasts a crash of
// the machine: content and name are synced. The folder has to be there. If it fails, what was there before is there still,
// unless the folder alone could not be synced; nothing half-made stays, but after a crash: a file .NAME-*, which nobody
// reads.
func Write(path string, data []byte, mode fs.FileMode) error {
	if err := Replace(path, data, mode); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Replace is Write without the sync of the name: after a crash, the file before may be there again. It is for what can be
// made anew, and for many files whose folder is synced once.
func Replace(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// SyncDir makes the names in a folder durable, as far as its file system can: some of other machines have no such call.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
