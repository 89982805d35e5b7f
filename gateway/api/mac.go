package api

// MacAlgorithm names an HMAC with its hash (RFC 2104).
type MacAlgorithm string

// The MAC algorithms.
const (
	HMACSHA224 MacAlgorithm = "HMAC_SHA_224"
	HMACSHA256 MacAlgorithm = "HMAC_SHA_256"
	HMACSHA384 MacAlgorithm = "HMAC_SHA_384"
	HMACSHA512 MacAlgorithm = "HMAC_SHA_512"
)

// GenerateMacRequest asks for a MAC over a message.
type GenerateMacRequest struct {
	KeyTarget
	Message      []byte // 1..4096 bytes
	MacAlgorithm MacAlgorithm
	GrantTokens  []string `json:",omitempty"`
	DryRun       bool     `json:",omitempty"`
}

// Check names what is malformed.
func (r *GenerateMacRequest) Check(c *Checker) {
	c.blob("message", r.Message, 1, maxMessage)
	r.check(c)
	c.enum("macAlgorithm", string(r.MacAlgorithm), macAlgorithms, true)
	c.grantTokens(r.GrantTokens)
}

// GenerateMacResponse holds a MAC as long as its hash.
type GenerateMacResponse struct {
	Mac          []byte
	MacAlgorithm MacAlgorithm
	KeyId        string // the key's ARN
	KeyVersion   int    `json:",omitempty"` // not in AWS KMS
}

// VerifyMacRequest asks whether a MAC is good.
type VerifyMacRequest struct {
	KeyTarget
	Message      []byte // 1..4096 bytes
	MacAlgorithm MacAlgorithm
	Mac          []byte   // 1..6144 bytes
	GrantTokens  []string `json:",omitempty"`
	DryRun       bool     `json:",omitempty"`

	// KeyVersion names a version; any that is there if absent. Not in AWS KMS.
	KeyVersion *int `json:",omitempty"`
}

// Check names what is malformed.
func (r *VerifyMacRequest) Check(c *Checker) {
	c.blob("message", r.Message, 1, maxMessage)
	r.check(c)
	c.enum("macAlgorithm", string(r.MacAlgorithm), macAlgorithms, true)
	c.blob("mac", r.Mac, 1, maxCiphertext)
	c.grantTokens(r.GrantTokens)
	c.version(r.KeyVersion)
}

// VerifyMacResponse says that the MAC is good; a bad one is an error.
type VerifyMacResponse struct {
	KeyId        string // the key's ARN
	MacValid     bool
	MacAlgorithm MacAlgorithm
	KeyVersion   int `json:",omitempty"` // not in AWS KMS
}
