package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Receipt proves that a record is in a log. Nothing but the log's public key is needed to check it.
type Receipt struct {
	Record string // the line of the record, without its newline
	Proof  string // c2sp.org/tlog-proof: index, hashes, checkpoint
}

// Proof gives the text of c2sp.org/tlog-proof for a record: what shows that it is in the tree of the checkpoint.
func (d Dir) Proof(c Checkpoint, seq uint64) (string, error) {
	hashes, err := d.ProveRecord(c.Tree, seq)
	if err != nil {
		return "", err
	}
	p := proof.TLogProof{Index: seq - 1, Checkpoint: c.Text}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, h)
	}
	return string(p.Marshal()), nil
}

// ParseProof reads such a text, with a checkpoint that one of the keys has signed. What it proves is not checked yet.
func ParseProof(text string, keys ...note.Verifier) (seq uint64, hashes tlog.RecordProof, c Checkpoint, err error) {
	var p proof.TLogProof
	if err := p.Unmarshal([]byte(text)); err != nil {
		return 0, nil, c, err
	}
	if len(p.Hashes) > 63 {
		return 0, nil, c, fmt.Errorf("the proof has %d hashes: 63 are the most", len(p.Hashes))
	}
	for _, h := range p.Hashes {
		hashes = append(hashes, h)
	}
	c, err = ParseCheckpoint(p.Checkpoint, keys...)
	if err == nil && p.Index >= uint64(c.Tree.N) {
		err = fmt.Errorf("the proof is for record %d, and its checkpoint for %d records", p.Index+1, c.Tree.N)
	}
	return p.Index + 1, hashes, c, err
}

// VerifyProof checks that the line is that record of the log, and gives its number and the checkpoint that says so.
func VerifyProof(line, text string, keys ...note.Verifier) (seq uint64, c Checkpoint, err error) {
	seq, hashes, c, err := ParseProof(text, keys...)
	if err != nil {
		return 0, c, err
	}
	if err := tlog.CheckRecord(hashes, c.Tree.N, c.Tree.Hash, int64(seq)-1, tlog.RecordHash([]byte(line))); err != nil {
		return 0, c, fmt.Errorf("the proof does not lead from this record, as number %d, to the root of the checkpoint for %d records", seq, c.Tree.N)
	}
	return seq, c, nil
}

// Verify checks a receipt, and gives the record and the checkpoint that vouches for it.
func (r Receipt) Verify(keys ...note.Verifier) (audit.Record, Checkpoint, error) {
	var record audit.Record
	line := strings.TrimSuffix(r.Record, "\n")
	seq, c, err := VerifyProof(line, r.Proof, keys...)
	if err != nil {
		return record, c, err
	}
	if err := json.Unmarshal([]byte(line), &record); err != nil {
		return record, c, fmt.Errorf("the record is in the log and is not JSON: %w", err)
	}
	if record.Seq != seq {
		return record, c, errors.New("the record is in the log and has another number than the proof")
	}
	return record, c, nil
}
