package gateway

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit/whole"
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
		err = whole.Write(w.settings.State, data, 0o600)
	}
	w.saved = time.Now()
	w.pause = max(saveEvery, saveShare*w.saved.Sub(begin))
	return err
}
