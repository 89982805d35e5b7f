package api

import "math"

// Receipt proves that a call is in the gateway's audit log. Nothing but the log's public key is needed to check it. Not
// in AWS KMS.
type Receipt struct {
	Record string // the record of the call: a line of the log
	Proof  string // c2sp.org/tlog-proof: its place, the proof that it is there, and a signed checkpoint
}

// GetReceiptRequest asks for the receipt of an earlier call. Not in AWS KMS.
type GetReceiptRequest struct {
	RecordNumber int // the number in the Hsmgate-Audit-Record header of its answer
}

// Check names what is malformed.
func (r *GetReceiptRequest) Check(c *Checker) {
	c.between("recordNumber", &r.RecordNumber, 1, math.MaxInt)
}

// GetReceiptResponse is the receipt.
type GetReceiptResponse Receipt
