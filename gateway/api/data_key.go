package api

// DataKeySpec names the length of a symmetric data key.
type DataKeySpec string

// The specs of data keys.
const (
	AES256 DataKeySpec = "AES_256"
	AES128 DataKeySpec = "AES_128"
)

// GenerateDataKeyRequest asks for a new data key, plain and encrypted.
type GenerateDataKeyRequest struct {
	KeyTarget
	EncryptionContext map[string]string `json:",omitempty"`
	NumberOfBytes     *int              `json:",omitempty"` // 1..1024; this or KeySpec
	KeySpec           DataKeySpec       `json:",omitempty"`
	GrantTokens       []string          `json:",omitempty"`
	Recipient         *RecipientInfo    `json:",omitempty"`
	DryRun            bool              `json:",omitempty"`
}

// Check names what is malformed.
func (r *GenerateDataKeyRequest) Check(c *Checker) {
	r.check(c)
	c.context("encryptionContext", r.EncryptionContext)
	c.between("numberOfBytes", r.NumberOfBytes, 1, 1024)
	c.enum("keySpec", string(r.KeySpec), dataKeySpecs, false)
	c.grantTokens(r.GrantTokens)
	r.Recipient.check(c)
}

// GenerateDataKeyResponse holds a data key, plain and encrypted.
type GenerateDataKeyResponse struct {
	CiphertextBlob         []byte
	Plaintext              []byte `json:",omitempty"`
	KeyId                  string // the key's ARN
	CiphertextForRecipient []byte `json:",omitempty"`
	KeyMaterialId          string `json:",omitempty"` // 64 hex digits
	KeyVersion             int    `json:",omitempty"` // not in AWS KMS
}

// GenerateDataKeyWithoutPlaintextRequest asks for a new data key, encrypted.
type GenerateDataKeyWithoutPlaintextRequest struct {
	KeyTarget
	EncryptionContext map[string]string `json:",omitempty"`
	KeySpec           DataKeySpec       `json:",omitempty"`
	NumberOfBytes     *int              `json:",omitempty"` // 1..1024; this or KeySpec
	GrantTokens       []string          `json:",omitempty"`
	DryRun            bool              `json:",omitempty"`
}

// Check names what is malformed.
func (r *GenerateDataKeyWithoutPlaintextRequest) Check(c *Checker) {
	r.check(c)
	c.context("encryptionContext", r.EncryptionContext)
	c.enum("keySpec", string(r.KeySpec), dataKeySpecs, false)
	c.between("numberOfBytes", r.NumberOfBytes, 1, 1024)
	c.grantTokens(r.GrantTokens)
}

// GenerateDataKeyWithoutPlaintextResponse holds a data key, encrypted.
type GenerateDataKeyWithoutPlaintextResponse struct {
	CiphertextBlob []byte
	KeyId          string // the key's ARN
	KeyMaterialId  string `json:",omitempty"` // 64 hex digits
	KeyVersion     int    `json:",omitempty"` // not in AWS KMS
}

// GenerateDataKeyPairRequest asks for a new key pair whose private half comes
// plain and encrypted.
type GenerateDataKeyPairRequest struct {
	KeyTarget
	EncryptionContext map[string]string `json:",omitempty"`
	KeyPairSpec       KeySpec           // of an asymmetric key
	GrantTokens       []string          `json:",omitempty"`
	Recipient         *RecipientInfo    `json:",omitempty"`
	DryRun            bool              `json:",omitempty"`
}

// Check names what is malformed.
func (r *GenerateDataKeyPairRequest) Check(c *Checker) {
	r.check(c)
	c.context("encryptionContext", r.EncryptionContext)
	c.enum("keyPairSpec", string(r.KeyPairSpec), dataKeyPairSpecs, true)
	c.grantTokens(r.GrantTokens)
	r.Recipient.check(c)
}

// GenerateDataKeyPairResponse holds a key pair: the private half as DER PKCS#8
// (RFC 5958), plain and encrypted, the public one as DER SubjectPublicKeyInfo.
type GenerateDataKeyPairResponse struct {
	PrivateKeyCiphertextBlob []byte
	PrivateKeyPlaintext      []byte `json:",omitempty"`
	PublicKey                []byte
	KeyId                    string // the ARN of the key that encrypts
	KeyPairSpec              KeySpec
	CiphertextForRecipient   []byte `json:",omitempty"`
	KeyMaterialId            string `json:",omitempty"` // 64 hex digits
	KeyVersion               int    `json:",omitempty"` // not in AWS KMS
}

// GenerateDataKeyPairWithoutPlaintextRequest asks for a new key pair whose
// private half comes encrypted.
type GenerateDataKeyPairWithoutPlaintextRequest struct {
	KeyTarget
	EncryptionContext map[string]string `json:",omitempty"`
	KeyPairSpec       KeySpec           // of an asymmetric key
	GrantTokens       []string          `json:",omitempty"`
	DryRun            bool              `json:",omitempty"`
}

// Check names what is malformed.
func (r *GenerateDataKeyPairWithoutPlaintextRequest) Check(c *Checker) {
	r.check(c)
	c.context("encryptionContext", r.EncryptionContext)
	c.enum("keyPairSpec", string(r.KeyPairSpec), dataKeyPairSpecs, true)
	c.grantTokens(r.GrantTokens)
}

// GenerateDataKeyPairWithoutPlaintextResponse holds a key pair, the private
// half encrypted.
type GenerateDataKeyPairWithoutPlaintextResponse struct {
	PrivateKeyCiphertextBlob []byte
	PublicKey                []byte
	KeyId                    string // the ARN of the key that encrypts
	KeyPairSpec              KeySpec
	KeyMaterialId            string `json:",omitempty"` // 64 hex digits
	KeyVersion               int    `json:",omitempty"` // not in AWS KMS
}
