package api

// KeyAgreementAlgorithm names how two parties come to a shared secret.
type KeyAgreementAlgorithm string

// ECDH is NIST SP 800-56A, section 5.7.1.2: the x coordinate, not derived from.
const ECDH KeyAgreementAlgorithm = "ECDH"

// EncapsulationAlgorithm names a key encapsulation mechanism.
type EncapsulationAlgorithm string

// MLKEM is FIPS 203.
const MLKEM EncapsulationAlgorithm = "ML_KEM"

// DeriveSharedSecretRequest asks for the secret shared with a public key.
type DeriveSharedSecretRequest struct {
	KeyTarget
	KeyAgreementAlgorithm KeyAgreementAlgorithm
	PublicKey             []byte         // 1..8192 bytes: DER SubjectPublicKeyInfo on the key's own curve
	GrantTokens           []string       `json:",omitempty"`
	DryRun                bool           `json:",omitempty"`
	Recipient             *RecipientInfo `json:",omitempty"`
}

// Check names what is malformed.
func (r *DeriveSharedSecretRequest) Check(c *Checker) {
	r.check(c)
	c.enum("keyAgreementAlgorithm", string(r.KeyAgreementAlgorithm), keyAgreementAlgorithms, true)
	c.blob("publicKey", r.PublicKey, 1, 8192)
	c.grantTokens(r.GrantTokens)
	r.Recipient.check(c)
}

// DeriveSharedSecretResponse holds the raw x coordinate, as long as the field.
type DeriveSharedSecretResponse struct {
	KeyId                  string // the key's ARN
	SharedSecret           []byte `json:",omitempty"`
	CiphertextForRecipient []byte `json:",omitempty"`
	KeyAgreementAlgorithm  KeyAgreementAlgorithm
	KeyOrigin              Origin
	KeyVersion             int `json:",omitempty"` // not in AWS KMS
}

// EncapsulateRequest asks for a new secret and its ciphertext under a public key.
type EncapsulateRequest struct {
	KeyTarget
	EncapsulationAlgorithm EncapsulationAlgorithm
	GrantTokens            []string `json:",omitempty"`
	DryRun                 bool     `json:",omitempty"`
}

// Check names what is malformed.
func (r *EncapsulateRequest) Check(c *Checker) {
	r.check(c)
	c.enum("encapsulationAlgorithm", string(r.EncapsulationAlgorithm), encapsulationAlgorithms, true)
	c.grantTokens(r.GrantTokens)
}

// EncapsulateResponse holds a secret of 32 bytes and its ciphertext.
type EncapsulateResponse struct {
	KeyId                      string // the key's ARN
	SharedSecret               []byte
	SharedSecretCiphertextBlob []byte // 768, 1088 or 1568 bytes
	EncapsulationAlgorithm     EncapsulationAlgorithm
	KeyVersion                 int `json:",omitempty"` // not in AWS KMS
}

// DecapsulateRequest asks for the secret in a ciphertext.
type DecapsulateRequest struct {
	KeyTarget
	EncapsulationAlgorithm     EncapsulationAlgorithm
	SharedSecretCiphertextBlob []byte   // 1..6144 bytes
	GrantTokens                []string `json:",omitempty"`
	DryRun                     bool     `json:",omitempty"`

	// KeyVersion names a version; the current one if absent. Not in AWS KMS.
	KeyVersion *int `json:",omitempty"`
}

// Check names what is malformed.
func (r *DecapsulateRequest) Check(c *Checker) {
	r.check(c)
	c.enum("encapsulationAlgorithm", string(r.EncapsulationAlgorithm), encapsulationAlgorithms, true)
	c.blob("sharedSecretCiphertextBlob", r.SharedSecretCiphertextBlob, 1, maxCiphertext)
	c.grantTokens(r.GrantTokens)
	c.version(r.KeyVersion)
}

// DecapsulateResponse holds a secret of 32 bytes. A ciphertext that was changed
// gives another secret and no error (FIPS 203, implicit rejection).
type DecapsulateResponse struct {
	KeyId                  string // the key's ARN
	SharedSecret           []byte
	EncapsulationAlgorithm EncapsulationAlgorithm
	KeyVersion             int `json:",omitempty"` // not in AWS KMS
}
