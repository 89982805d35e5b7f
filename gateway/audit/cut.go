package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The file cut, beside the closed segments, says what retention has removed:
//
//	hsmgate-audit-cut 1 SEQ:HASH CHECK
//	the text that the log's key has signed for that record
//
// CHECK being the first 16 hex digits of the SHA-256 of all the rest.
const (
	cutName  = "cut"
	cutMagic = "hsmgate-audit-cut 1 "
)

// Cut is where a log begins that retention has removed records from.
type Cut struct {
	Last   Receipt `json:"last"`   // the last record that was removed; the first one that is there continues its hash
	Signed []byte  `json:"signed"` // the proof that the log held it, see Options.Seal
}

// CutPath gives the path of the file that says what retention has removed from the log at path.
func CutPath(path string) string { return filepath.Join(SegmentsPath(path), cutName) }

func (c Cut) encode() []byte {
	start := cutMagic + c.Last.String() + " "
	return append([]byte(start+headCheck(start+string(c.Signed))+"\n"), c.Signed...)
}

func parseCut(b []byte) (Cut, bool) {
	line, signed, ok := strings.Cut(string(b), "\n")
	rest, magic := strings.CutPrefix(line, cutMagic)
	receipt, check, sep := strings.Cut(rest, " ")
	if !ok || !magic || !sep || headCheck(cutMagic+receipt+" "+signed) != check {
		return Cut{}, false
	}
	last, err := ParseReceipt(receipt)
	return Cut{last, []byte(signed)}, err == nil && last.String() == receipt
}

// ReadCut reads what retention has removed from the log at path. The error is fs.ErrNotExist where it has removed
// nothing, ErrDamaged where the file is not as it was written.
func ReadCut(path string) (Cut, error) {
	b, err := os.ReadFile(CutPath(path))
	if err != nil {
		return Cut{Last: Receipt{Hash: hash{}.String()}}, err
	}
	c, ok := parseCut(b)
	if !ok {
		return Cut{Last: Receipt{Hash: hash{}.String()}}, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s cannot be read: its checksum is wrong", CutPath(path)),
			Advice: "put it back from a copy"}
	}
	return c, nil
}
