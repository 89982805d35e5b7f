package audit

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Receipt names a record and pins its content, and with it the content of every record before it. Whoever
// keeps one can prove later that the record is still in the log (VerifyOptions.Receipts).
type Receipt struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // hex SHA-256 of the record's line without its newline; 64 zeros for Seq 0, the empty log
}

// String gives the form "seq:hash" that ParseReceipt reads.
func (r Receipt) String() string { return strconv.FormatUint(r.Seq, 10) + ":" + r.Hash }

// ParseReceipt reads "seq:hash", for example a receipt or head that was kept in another place.
func ParseReceipt(s string) (Receipt, error) {
	seq, sum, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	if !ok || err != nil {
		return Receipt{}, fmt.Errorf("%q is not a receipt: it should be a record number, a colon and 64 hex digits", s)
	}
	r := Receipt{Seq: n, Hash: strings.ToLower(sum)}
	if _, err := r.sum(); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// sum gives the hash as bytes.
func (r Receipt) sum() (hash, error) {
	var h hash
	if b, err := hex.DecodeString(r.Hash); err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is not the hash of record %d: it should be 64 hex digits", r.Hash, r.Seq)
	} else {
		copy(h[:], b)
	}
	return h, nil
}

// HashText writes the hash of a line as a receipt has it.
func HashText(sum [32]byte) string { return hash(sum).String() }
