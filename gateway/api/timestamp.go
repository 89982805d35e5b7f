package api

// TimestampRequest asks the gateway's timestamp authority for a token. On REST it is the body of RFC 3161, section 3.4,
// and the key is that of the authority.
type TimestampRequest struct {
	KeyTarget
	Query []byte `json:"-"` // TimeStampReq in DER, of at most 16 KiB
}

// Check finds what is malformed. What is wrong with the query, the authority says.
func (r *TimestampRequest) Check(c *Checker) { r.check(c) }

// TimestampResponse is its answer.
type TimestampResponse struct {
	Reply []byte // TimeStampResp in DER
}
