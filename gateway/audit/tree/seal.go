package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// What a cut of the log holds as signed is a Receipt in JSON: that of the last record that retention has removed.

func (r Receipt) seal() ([]byte, error) {
	b, err := json.Marshal(r)
	return append(b, '\n'), err
}

// CheckCut checks that one of the log's keys has signed for the last record that was removed, and gives the checkpoint that
// vouches for it. The keys have to come from where whoever can write the log cannot put others.
func CheckCut(c audit.Cut, keys ...note.Verifier) (Checkpoint, error) {
	var r Receipt
	if err := json.Unmarshal(c.Signed, &r); err != nil {
		return Checkpoint{}, fmt.Errorf("what is there as signed for record %d is no receipt: %w", c.Last.Seq, err)
	}
	record, of, err := r.Verify(keys...)
	if err != nil {
		return of, err
	}
	sum := sha256.Sum256([]byte(r.Record))
	if got := (audit.Receipt{Seq: record.Seq, Hash: hex.EncodeToString(sum[:])}); got != c.Last {
		return of, fmt.Errorf("what was signed is for record %s, and the cut names record %s", got, c.Last)
	}
	return of, nil
}
