package auditor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Receipt makes the proof of a record by the published checkpoint, which all witnesses have to have cosigned. It is
// checked, since the tiles are not trusted.
func (t Trust) Receipt(d tree.Dir, found Found) (tree.Receipt, tree.Checkpoint, error) {
	signed, err := os.ReadFile(filepath.Join(string(d), "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the log has published no checkpoint yet: %w", err)
	}
	if err != nil {
		return tree.Receipt{}, tree.Checkpoint{}, err
	}
	c, err := t.Parse(signed)
	if err == nil {
		err = t.Cosigned(c)
	}
	if err == nil && found.Record.Seq > uint64(c.Tree.N) {
		err = fmt.Errorf("record %d is newer than the checkpoint, which is of %d records: try again when there is another", found.Record.Seq, c.Tree.N)
	}
	if err != nil {
		return tree.Receipt{}, c, err
	}
	proof, err := d.Proof(c, found.Record.Seq)
	if err != nil {
		return tree.Receipt{}, c, fmt.Errorf("the tiles do not prove record %d: %w", found.Record.Seq, err)
	}
	r := tree.Receipt{Record: found.Line, Proof: proof}
	_, _, err = t.Verify(r)
	return r, c, err
}
