package api

// WrappingAlgorithm names how key material is encrypted on its way in. The AWS
// model calls it AlgorithmSpec.
type WrappingAlgorithm string

// The wrapping algorithms.
const (
	WrapPKCS1        WrappingAlgorithm = "RSAES_PKCS1_V1_5" // AWS takes it no more
	WrapOAEPSHA1     WrappingAlgorithm = "RSAES_OAEP_SHA_1"
	WrapOAEPSHA256   WrappingAlgorithm = "RSAES_OAEP_SHA_256"
	WrapRSAAESSHA1   WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_1"
	WrapRSAAESSHA256 WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_256"
	WrapSM2PKE       WrappingAlgorithm = "SM2PKE" // China Regions only
)

// WrappingKeySpec names the type of the key that encrypts key material.
type WrappingKeySpec string

// The specs of wrapping keys.
const (
	WrappingRSA2048 WrappingKeySpec = "RSA_2048"
	WrappingRSA3072 WrappingKeySpec = "RSA_3072"
	WrappingRSA4096 WrappingKeySpec = "RSA_4096"
	WrappingSM2     WrappingKeySpec = "SM2" // China Regions only
)

// ExpirationModel says whether imported material expires.
type ExpirationModel string

// The expiration models.
const (
	KeyMaterialExpires       ExpirationModel = "KEY_MATERIAL_EXPIRES"
	KeyMaterialDoesNotExpire ExpirationModel = "KEY_MATERIAL_DOES_NOT_EXPIRE"
)

// ImportType says whether material is new to its key.
type ImportType string

// The types of imports.
const (
	NewKeyMaterial      ImportType = "NEW_KEY_MATERIAL"
	ExistingKeyMaterial ImportType = "EXISTING_KEY_MATERIAL"
)

// ImportState says whether imported material is there.
type ImportState string

// The states of imports.
const (
	Imported      ImportState = "IMPORTED"
	ImportPending ImportState = "PENDING_IMPORT"
)

// GetParametersForImportRequest asks for what an import of key material needs.
type GetParametersForImportRequest struct {
	KeyTarget
	WrappingAlgorithm WrappingAlgorithm
	WrappingKeySpec   WrappingKeySpec
}

// Check names what is malformed.
func (r *GetParametersForImportRequest) Check(c *Checker) {
	r.check(c)
	c.enum("wrappingAlgorithm", string(r.WrappingAlgorithm), wrappingAlgorithms, true)
	c.enum("wrappingKeySpec", string(r.WrappingKeySpec), wrappingKeySpecs, true)
}

// GetParametersForImportResponse holds what an import needs: a token that binds
// it to the key, and the public key (DER SubjectPublicKeyInfo) for its material.
type GetParametersForImportResponse struct {
	KeyId             string // the key's ARN
	ImportToken       []byte
	PublicKey         []byte
	ParametersValidTo *Time // 24 hours later in AWS KMS
}

// ImportKeyMaterialRequest brings key material from outside.
type ImportKeyMaterialRequest struct {
	KeyTarget
	ImportToken            []byte          // 1..6144 bytes
	EncryptedKeyMaterial   []byte          // 1..6144 bytes
	ValidTo                *Time           `json:",omitempty"` // with KEY_MATERIAL_EXPIRES only, and then required
	ExpirationModel        ExpirationModel `json:",omitempty"` // KEY_MATERIAL_EXPIRES if absent
	ImportType             ImportType      `json:",omitempty"`
	KeyMaterialDescription string          `json:",omitempty"` // 0..256 characters
	KeyMaterialId          string          `json:",omitempty"` // 64 hex digits
}

// Check names what is malformed.
func (r *ImportKeyMaterialRequest) Check(c *Checker) {
	r.check(c)
	c.blob("importToken", r.ImportToken, 1, maxCiphertext)
	c.blob("encryptedKeyMaterial", r.EncryptedKeyMaterial, 1, maxCiphertext)
	c.enum("expirationModel", string(r.ExpirationModel), expirationModels, false)
	c.enum("importType", string(r.ImportType), importTypes, false)
	c.may("keyMaterialDescription", r.KeyMaterialDescription, keyMaterialDescriptionShape)
	c.may("keyMaterialId", r.KeyMaterialId, keyMaterialIDShape)
}

// ImportKeyMaterialResponse names the material that was imported.
type ImportKeyMaterialResponse struct {
	KeyId         string // the key's ARN
	KeyMaterialId string `json:",omitempty"` // 64 hex digits
	KeyVersion    int    `json:",omitempty"` // not in AWS KMS
}

// DeleteImportedKeyMaterialRequest destroys imported material; the key stays.
type DeleteImportedKeyMaterialRequest struct {
	KeyTarget
	KeyMaterialId string `json:",omitempty"` // 64 hex digits; the current material if absent
}

// Check names what is malformed.
func (r *DeleteImportedKeyMaterialRequest) Check(c *Checker) {
	r.check(c)
	c.may("keyMaterialId", r.KeyMaterialId, keyMaterialIDShape)
}

// DeleteImportedKeyMaterialResponse names the material that is gone.
type DeleteImportedKeyMaterialResponse struct {
	KeyId         string // the key's ARN
	KeyMaterialId string `json:",omitempty"`
}
