package identity

import (
	"io"
	"io/fs"
	"os"
	"sync"

	"go.uber.org/zap"
)

// maxFile is the most bytes that are read of a key set, a CA or a revocation list.
const maxFile = 16 << 20

// watched is what a file says, read anew when the file has changed.
type watched[T any] struct {
	path  string
	parse func([]byte) (T, error)
	log   *zap.Logger

	mu    sync.Mutex
	value T
	known bool
	of    fs.FileInfo // of the file that value is from
	told  string      // the error that was logged last
}

// get says what the file says now. While it cannot be read, as between the two
// halves of a write, that is what it said before; an error where there is none.
func (w *watched[T]) get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Stat(w.path)
	if err == nil && w.known && info.ModTime().Equal(w.of.ModTime()) && info.Size() == w.of.Size() && os.SameFile(info, w.of) {
		return w.value, nil
	}
	var value T
	if err == nil {
		value, err = w.read()
	}
	switch {
	case err == nil:
		w.value, w.known, w.of, w.told = value, true, info, ""
	case !w.known:
		return w.value, err
	case w.told != err.Error():
		w.told = err.Error()
		w.log.Error("a changed file cannot be used: what it said before holds", zap.String("file", w.path), zap.Error(err))
	}
	return w.value, nil
}

func (w *watched[T]) read() (value T, err error) {
	f, err := os.Open(w.path)
	if err != nil {
		return value, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return value, err
	}
	return w.parse(data)
}
