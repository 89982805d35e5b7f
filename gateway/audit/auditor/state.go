package auditor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit/whole"
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

// begin passes over the records before from, of which the next one is not bound to continue the chain.
func (s *state) begin(from int64) {
	if s.LastHash == "" {
		s.Records = 0
	}
	if from-1 > s.Records {
		s.Records, s.LastHash = from-1, ""
	}
}

// removed is the alarm for records up to last, which were removed before they were read. A log that hides them says the
// same, so that somebody has to know of it.
func (s *state) removed(last int64, why string) *Alarm {
	return &Alarm{Kind: AlarmRemoved, Detail: fmt.Sprintf("the records %d to %d were removed from the log before they were read; "+
		"if that is as it should be, --from goes on with the first one that is there: %s", s.Records+1, last, why)}
}

func (s state) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return whole.Write(path, append(text, '\n'), 0o600)
}
