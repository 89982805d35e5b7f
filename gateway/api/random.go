package api

// GenerateRandomRequest asks for random bytes out of the token.
type GenerateRandomRequest struct {
	NumberOfBytes    *int           `json:",omitempty"` // 1..1024; the operation requires it
	CustomKeyStoreId string         `json:",omitempty"`
	Recipient        *RecipientInfo `json:",omitempty"`
}

// Check names what is malformed.
func (r *GenerateRandomRequest) Check(c *Checker) {
	c.between("numberOfBytes", r.NumberOfBytes, 1, 1024)
	c.may("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
	r.Recipient.check(c)
}

// GenerateRandomResponse holds random bytes.
type GenerateRandomResponse struct {
	Plaintext              []byte `json:",omitempty"`
	CiphertextForRecipient []byte `json:",omitempty"`
}
