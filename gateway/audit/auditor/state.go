package auditor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is what a monitor remembers.
type state struct {
	Checkpoint string    `json:"checkpoint"` // the last one, as the log signed it
	Grown      time.Time `json:"grown"`      // when a new record was last seen
	Records    int64     `json:"records"`    // that were read
	LastHash   string    `json:"lastHash"`   // of the last of them, hex SHA-256; "" where none was read

	active bool // among those that were read now is one that no monitor has caused
}

func readState(path string) (state, error) {
	var s state
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		if err = json.Unmarshal(text, &s); err != nil {
			err = fmt.Errorf("%s is not the state of a monitor: %w", path, err)
		}
	}
	return s, err
}

func (s state) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}

// writeFile puts a file in the place of the one before, whole or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
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
