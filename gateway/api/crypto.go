package api

import (
	"io"
	"slices"
)

// The longest members in bytes, in the AWS model.
const (
	maxMessage    = 4096 // also of a plaintext
	maxCiphertext = 6144 // also of a signature and of a MAC
)

// SignRequest asks for a signature over a message or a digest.
type SignRequest struct {
	KeyTarget
	Message          []byte      // 1..4096 bytes
	MessageType      MessageType `json:",omitempty"` // RAW if absent
	SigningAlgorithm SigningAlgorithm
	GrantTokens      []string `json:",omitempty"`
	DryRun           bool     `json:",omitempty"`

	// What the caller states, for policies and for the audit record. Nothing
	// compares it with what is signed. Not in AWS KMS.
	SigningContext map[string]string `json:",omitempty" face:"rest"`
	Artifact       *Artifact         `json:",omitempty" face:"rest"`

	// IdempotencyKey makes a repeat of the request give the same signature, with one
	// record. Not in AWS KMS.
	IdempotencyKey string `json:",omitempty" face:"rest"` // 1..128 printable characters of ASCII
	// Receipt has the answer hold the receipt of the call. Not in AWS KMS.
	Receipt bool `json:",omitempty" face:"rest"`

	// Body takes the place of Message on REST: a file of any size, hashed as it
	// is read, after the call has been allowed.
	Body io.Reader `json:"-"`
}

// Check names what is malformed.
func (r *SignRequest) Check(c *Checker) {
	r.check(c)
	if r.Body == nil {
		c.blob("message", r.Message, 1, maxMessage)
	}
	c.enum("messageType", string(r.MessageType), messageTypes, false)
	c.enum("signingAlgorithm", string(r.SigningAlgorithm), signingAlgorithms, r.Body == nil)
	c.grantTokens(r.GrantTokens)
	c.context("signingContext", r.SigningContext)
	r.Artifact.check(c)
	c.may("idempotencyKey", r.IdempotencyKey, idempotencyKeyShape)
}

// SignResponse holds a signature: DER for ECDSA, 64 bytes for Ed25519, the
// encoding of FIPS 204 for ML-DSA.
type SignResponse struct {
	KeyId            string // the key's ARN
	Signature        []byte
	SigningAlgorithm SigningAlgorithm
	KeyVersion       int      `json:",omitempty"` // not in AWS KMS
	Receipt          *Receipt `json:",omitempty"` // where it was asked for; not in AWS KMS
	// AuditRecord is the record of the call: its number, a colon, its hash. On the way it is a header; the client notes it here.
	AuditRecord string `json:"-"`
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

	// KeyVersion names a version; any that is there if absent. Not in AWS KMS.
	KeyVersion *int `json:",omitempty"`
}

// Check names what is malformed.
func (r *VerifyRequest) Check(c *Checker) {
	r.check(c)
	c.blob("message", r.Message, 1, maxMessage)
	c.enum("messageType", string(r.MessageType), messageTypes, false)
	c.blob("signature", r.Signature, 1, maxCiphertext)
	c.enum("signingAlgorithm", string(r.SigningAlgorithm), signingAlgorithms, true)
	c.grantTokens(r.GrantTokens)
	c.version(r.KeyVersion)
}

// VerifyResponse says that the signature is good; a bad one is an error.
type VerifyResponse struct {
	KeyId            string // the key's ARN
	SignatureValid   bool
	SigningAlgorithm SigningAlgorithm
	KeyVersion       int `json:",omitempty"` // the one that made the signature; not in AWS KMS
}

// EncryptRequest asks to encrypt with a symmetric key or a key's public half.
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
	c.blob("plaintext", r.Plaintext, 1, maxMessage)
	c.context("encryptionContext", r.EncryptionContext)
	c.enum("encryptionAlgorithm", string(r.EncryptionAlgorithm), encryptionAlgorithms, false)
	c.grantTokens(r.GrantTokens)
}

// EncryptResponse holds the ciphertext.
type EncryptResponse struct {
	CiphertextBlob      []byte
	KeyId               string // the key's ARN
	EncryptionAlgorithm EncryptionAlgorithm
	KeyVersion          int `json:",omitempty"` // not in AWS KMS
}

// DecryptRequest asks to decrypt inside the token. A symmetric ciphertext names
// its key, so that KeyId may then be absent.
type DecryptRequest struct {
	KeyTarget
	CiphertextBlob      []byte              // 1..6144 bytes
	EncryptionContext   map[string]string   `json:",omitempty"`
	EncryptionAlgorithm EncryptionAlgorithm `json:",omitempty"`
	GrantTokens         []string            `json:",omitempty"`
	Recipient           *RecipientInfo      `json:",omitempty"`
	DryRun              bool                `json:",omitempty"`
	DryRunModifiers     []DryRunModifier    `json:",omitempty"`

	// KeyVersion names a version: the one that a symmetric ciphertext names, or
	// for an asymmetric one the current version, if absent. Not in AWS KMS.
	KeyVersion *int `json:",omitempty"`
}

// OptionalKey marks a request that may leave its key out: KeyRef is then empty.
func (r *DecryptRequest) OptionalKey() {}

// DryRunModifier changes what a dry run looks at.
type DryRunModifier string

// IgnoreCiphertext has a dry run look at the permissions alone.
const IgnoreCiphertext DryRunModifier = "IGNORE_CIPHERTEXT"

// RecipientInfo names an enclave; the gateway has none to answer to.
type RecipientInfo struct {
	KeyEncryptionAlgorithm string `json:",omitempty"`
	AttestationDocument    []byte `json:",omitempty"` // 1..262144 bytes
}

func (r *RecipientInfo) check(c *Checker) {
	if r == nil {
		return
	}
	c.enum("recipient.keyEncryptionAlgorithm", r.KeyEncryptionAlgorithm, keyEncryptionMechanisms, false)
	c.mayBlob("recipient.attestationDocument", r.AttestationDocument, 1, 262144)
}

// Check names what is malformed.
func (r *DecryptRequest) Check(c *Checker) {
	c.source("keyId", r.KeyId, r.CiphertextBlob, r.EncryptionAlgorithm, r.DryRun, r.DryRunModifiers)
	c.context("encryptionContext", r.EncryptionContext)
	c.enum("encryptionAlgorithm", string(r.EncryptionAlgorithm), encryptionAlgorithms, false)
	c.grantTokens(r.GrantTokens)
	r.Recipient.check(c)
	c.version(r.KeyVersion)
}

// source checks what is to be decrypted, and with what. A ciphertext is needed
// but for a dry run that ignores it; a key, where no ciphertext names it.
func (c *Checker) source(member, key string, ciphertext []byte, a EncryptionAlgorithm, dryRun bool, modifiers []DryRunModifier) {
	ignored := dryRun && slices.Contains(modifiers, IgnoreCiphertext)
	if ignored || a != "" && a != SymmetricDefault {
		c.must(member, key, keyIDShape)
	} else {
		c.may(member, key, keyIDShape)
	}
	if ignored {
		c.mayBlob("ciphertextBlob", ciphertext, 1, maxCiphertext)
	} else {
		c.blob("ciphertextBlob", ciphertext, 1, maxCiphertext)
	}
	enums(c, "dryRunModifiers", modifiers, dryRunModifiers)
}

// DecryptResponse holds the plaintext.
type DecryptResponse struct {
	KeyId                  string // the key's ARN
	Plaintext              []byte `json:",omitzero"` // OAEP can hide nothing at all, which is not absent
	EncryptionAlgorithm    EncryptionAlgorithm
	CiphertextForRecipient []byte `json:",omitempty"`
	KeyMaterialId          string `json:",omitempty"` // 64 hex digits
	KeyVersion             int    `json:",omitempty"` // not in AWS KMS
}

// ReEncryptRequest asks to decrypt inside the token and to encrypt anew, without
// showing the plaintext. It is about two keys: the destination is KeyRef, the
// source SourceRef.
type ReEncryptRequest struct {
	CiphertextBlob                 []byte              // 1..6144 bytes
	SourceEncryptionContext        map[string]string   `json:",omitempty"`
	SourceKeyId                    string              `json:",omitempty"` // may be absent if the ciphertext is symmetric
	DestinationKeyId               string              // an id, an ARN or an alias
	DestinationEncryptionContext   map[string]string   `json:",omitempty"`
	SourceEncryptionAlgorithm      EncryptionAlgorithm `json:",omitempty"`
	DestinationEncryptionAlgorithm EncryptionAlgorithm `json:",omitempty"`
	GrantTokens                    []string            `json:",omitempty"`
	DryRun                         bool                `json:",omitempty"`
	DryRunModifiers                []DryRunModifier    `json:",omitempty"`
}

// KeyRef returns the reference to the key that encrypts.
func (r *ReEncryptRequest) KeyRef() string { return r.DestinationKeyId }

// SourceRef returns the reference to the key that decrypts, or "" if the
// ciphertext is to name it.
func (r *ReEncryptRequest) SourceRef() string { return r.SourceKeyId }

// Check names what is malformed.
func (r *ReEncryptRequest) Check(c *Checker) {
	c.source("sourceKeyId", r.SourceKeyId, r.CiphertextBlob, r.SourceEncryptionAlgorithm, r.DryRun, r.DryRunModifiers)
	c.context("sourceEncryptionContext", r.SourceEncryptionContext)
	c.must("destinationKeyId", r.DestinationKeyId, keyIDShape)
	c.context("destinationEncryptionContext", r.DestinationEncryptionContext)
	c.enum("sourceEncryptionAlgorithm", string(r.SourceEncryptionAlgorithm), encryptionAlgorithms, false)
	c.enum("destinationEncryptionAlgorithm", string(r.DestinationEncryptionAlgorithm), encryptionAlgorithms, false)
	c.grantTokens(r.GrantTokens)
}

// ReEncryptResponse holds the new ciphertext.
type ReEncryptResponse struct {
	CiphertextBlob                 []byte
	SourceKeyId                    string // ARN of the key that decrypted
	KeyId                          string // ARN of the key that encrypted
	SourceEncryptionAlgorithm      EncryptionAlgorithm
	DestinationEncryptionAlgorithm EncryptionAlgorithm
	SourceKeyMaterialId            string `json:",omitempty"` // 64 hex digits
	DestinationKeyMaterialId       string `json:",omitempty"`
	SourceKeyVersion               int    `json:",omitempty"` // not in AWS KMS
	KeyVersion                     int    `json:",omitempty"` // of the key that encrypted; not in AWS KMS
}
