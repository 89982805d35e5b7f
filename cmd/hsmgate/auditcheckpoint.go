package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	formats "github.com/transparency-dev/formats/note"

	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// maxHistory bounds a file of saved checkpoints, in bytes: a million of them.
const maxHistory = 512 << 20

// history reads checkpoints from the lines of a history. A line that is no JSON was torn by a crash, and is told.
func history(name string, text []byte, by auditor.Trust) ([]auditor.Saved, error) {
	var all []auditor.Saved
	n := 0
	for line := range bytes.Lines(text) {
		n++
		var p tree.Published
		if err := json.Unmarshal(line, &p); err != nil {
			if len(bytes.TrimSpace(line)) > 0 {
				warn("%s: line %d is no checkpoint, and is passed over", name, n)
			}
			continue
		}
		c, err := by.Parse([]byte(p.Checkpoint))
		if err != nil {
			return nil, &noError{fmt.Errorf("%s: line %d: %w", name, n, err)}
		}
		all = append(all, auditor.Saved{Name: fmt.Sprintf("%s, line %d", name, n), Checkpoint: c})
	}
	return all, nil
}

// checkpointOut is a checkpoint in JSON.
type checkpointOut struct {
	Origin   string   `json:"origin"`
	Size     int64    `json:"size"`
	Root     string   `json:"root"`
	Cosigned []string `json:"cosigned,omitempty"` // by which of the given witnesses, and when
}

func outOf(c tree.Checkpoint) checkpointOut {
	o := checkpointOut{Origin: c.Origin, Size: c.Tree.N, Root: c.Tree.Hash.String()}
	for _, s := range c.Signed {
		at, err := formats.CoSigV1Timestamp(s)
		if s.Name != c.Origin && err == nil {
			o.Cosigned = append(o.Cosigned, s.Name+" at "+at.UTC().Format(time.RFC3339))
		}
	}
	return o
}
