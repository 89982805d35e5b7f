package query

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	suffix    = ".block"
	unwritten = ".writing-*"
)

// Folder is where the index of a log lies by default: in the user's folder for what can be made anew.
func Folder(log string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(log)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(cache, "hsmgate", "audit", fmt.Sprintf("%s-%x", filepath.Base(path), sum[:8])), nil
}

// folder is the files of an index, each named by the first record of its block.
type folder string

func (f folder) name(first uint64) string {
	return filepath.Join(string(f), fmt.Sprintf("%020d%s", first, suffix))
}

// head reads and checks the head of a block; false where there is none that is whole.
func (f folder) head(first uint64) (h head, ok bool, err error) {
	file, size, err := f.open(first)
	if errors.Is(err, fs.ErrNotExist) {
		return h, false, nil
	}
	if err != nil {
		return h, false, err
	}
	defer file.Close()
	h, err = readHead(file, size)
	if errors.Is(err, errBroken) {
		return h, false, nil
	}
	return h, err == nil, err
}

func (f folder) open(first uint64) (*os.File, int64, error) {
	file, err := os.Open(f.name(first))
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	readParts(file)
	return file, info.Size(), nil
}

// write puts a block into the folder, whole or not at all. A crash of the machine may leave another content, which the checksums show.
func (f folder) write(first uint64, block []byte) error {
	file, err := os.CreateTemp(string(f), unwritten)
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	_, err = file.Write(block)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), f.name(first))
}

// make makes the folder, for its owner alone, and tidies what a process that was killed has left there.
func (f folder) make() error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(string(f), unwritten))
	for _, name := range left {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.Remove(name)
		}
	}
	return err
}

// remove removes the blocks whose first record is before a record; all for 0.
func (f folder) remove(before uint64) error {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		var first uint64
		number, isBlock := strings.CutSuffix(e.Name(), suffix)
		if _, bad := fmt.Sscanf(number, "%020d", &first); !isBlock || bad != nil || before > 0 && first >= before {
			continue
		}
		if gone := os.Remove(filepath.Join(string(f), e.Name())); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
