package api

import "io"

// SignRequest asks for a signature over a message or a digest.
type SignRequest struct {
	KeyTarget
	Message          []byte      // 1..4096 bytes
	MessageType      MessageType `json:",omitempty"` // RAW if absent
	SigningAlgorithm SigningAlgorithm
	GrantTokens      []string `json:",omitempty"`
	DryRun           bool     `json:",omitempty"`

	// Body takes the place of Message on REST: a file of any size, hashed as it
	// is read, after the call has been allowed.
	Body io.Reader `json:"-"`
}

// Check names what is malformed.
func (r *SignRequest) Check(c *Checker) {
	r.check(c)
	if r.Body == nil {
		c.blob("message", r.Message, 1, 4096)
	}
	c.enum("messageType", string(r.MessageType), messageTypes, false)
	c.enum("signingAlgorithm", string(r.SigningAlgorithm), signingAlgorithms, r.Body == nil)
	c.grantTokens(r.GrantTokens)
}

// SignResponse holds a signature: DER for ECDSA, 64 bytes for Ed25519.
type SignResponse struct {
	KeyId            string // the key's ARN
	Signature        []byte
	SigningAlgorithm SigningAlgorithm
}

// VerifyRequest asks whether a signature is good.
type VerifyRequest struct {
	KeyTarget
	Message          []byte      // 1..4096 bytes
	MessageType      MessageType `json:",omitempty"` // RAW if absent
	Signature        []byte      // 1..6144 bytes
	SigningAlgorithm SigningAlgorithm
	GrantTokens      []string `json:",omitempty"`
	DryRun           bool     `json:",omitempty"`
}

// Check names what is malformed.
func (r *VerifyRequest) Check(c *Checker) {
	r.check(c)
	c.blob("message", r.Message, 1, 4096)
	c.enum("messageType", string(r.MessageType), messageTypes, false)
	c.blob("signature", r.Signature, 1, 6144)
	c.enum("signingAlgorithm", string(r.SigningAlgorithm), signingAlgorithms, true)
	c.grantTokens(r.GrantTokens)
}

// VerifyResponse says that the signature is good; a bad one is an error.
type VerifyResponse struct {
	KeyId            string // the key's ARN
	SignatureValid   bool
	SigningAlgorithm SigningAlgorithm
}

// EncryptRequest asks to encrypt with a key's public half.
type EncryptRequest struct {
	KeyTarget
	Plaintext           []byte              // 1..4096 bytes
	EncryptionContext   map[string]string   `json:",omitempty"`
	EncryptionAlgorithm EncryptionAlgorithm `json:",omitempty"`
	GrantTokens         []string            `json:",omitempty"`
	DryRun              bool                `json:",omitempty"`
}

// Check names what is malformed.
func (r *EncryptRequest) Check(c *Checker) {
	r.check(c)
	c.blob("plaintext", r.Plaintext, 1, 4096)
	c.enum("encryptionAlgorithm", string(r.EncryptionAlgorithm), encryptionAlgorithms, false)
	c.grantTokens(r.GrantTokens)
}

// EncryptResponse holds the ciphertext.
type EncryptResponse struct {
	CiphertextBlob      []byte
	KeyId               string // the key's ARN
	EncryptionAlgorithm EncryptionAlgorithm
}

// DecryptRequest asks to decrypt inside the token.
type DecryptRequest struct {
	KeyTarget
	CiphertextBlob      []byte              // 1..6144 bytes
	EncryptionContext   map[string]string   `json:",omitempty"`
	EncryptionAlgorithm EncryptionAlgorithm `json:",omitempty"`
	GrantTokens         []string            `json:",omitempty"`
	Recipient           *RecipientInfo      `json:",omitempty"`
	DryRun              bool                `json:",omitempty"`
	DryRunModifiers     []string            `json:",omitempty"`
}

// RecipientInfo names an enclave; the gateway has none to answer to.
type RecipientInfo struct {
	KeyEncryptionAlgorithm string
	AttestationDocument    []byte
}

// Check names what is malformed.
func (r *DecryptRequest) Check(c *Checker) {
	r.check(c) // an asymmetric ciphertext does not name its key
	c.blob("ciphertextBlob", r.CiphertextBlob, 1, 6144)
	c.enum("encryptionAlgorithm", string(r.EncryptionAlgorithm), encryptionAlgorithms, false)
	for _, m := range r.DryRunModifiers {
		c.enum("dryRunModifiers", m, dryRunModifiers, true)
	}
	c.grantTokens(r.GrantTokens)
}

// DecryptResponse holds the plaintext.
type DecryptResponse struct {
	KeyId               string // the key's ARN
	Plaintext           []byte
	EncryptionAlgorithm EncryptionAlgorithm
}
