package gateway

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/watch"
)

// load reads what was learned. Where there is nothing, or nothing that can be used, all is nil: the log has it.
func (w *watching) load() (*watch.Detector, *watch.Usage, watch.Seen, error) {
	if w.settings.State == "" {
		return nil, nil, watch.Seen{}, nil
	}
	data, err := os.ReadFile(w.settings.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, watch.Seen{}, nil
	}
	if err != nil {
		return nil, nil, watch.Seen{}, err
	}
	d, u, seen, err := watch.Restore(data, w.settings)
	if err != nil {
		w.s.log.Warn("what was learned of unusual use cannot be read; it is learned anew from the log", zap.String("file", w.settings.State), zap.Error(err))
		return nil, nil, watch.Seen{}, nil
	}
	return d, u, seen, nil
}

const (
	saveEvery = time.Minute
	saveShare = 100 // of the time, at most one part in so many is for saving
)

// save keeps what was learned. A record whose alert is not told yet is never in it.
func (w *watching) save() error {
	if w.settings.State == "" || w.recorded != nil {
		return nil
	}
	begin := time.Now()
	data, err := watch.Snapshot(w.detector, w.usage.Load(), w.seen)
	if err == nil {
		err = replaceFile(w.settings.State, data)
	}
	w.saved = time.Now()
	w.pause = max(saveEvery, saveShare*w.saved.Sub(begin))
	return err
}

// replaceFile writes a file that is there whole, as it was or as it is to be.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
