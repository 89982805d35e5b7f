package api

// VersionState says what a version of a key pair is used for.
type VersionState string

// The states of a version.
const (
	Announced      VersionState = "ANNOUNCED" // published, and used from NotBefore on
	CurrentVersion VersionState = "CURRENT"   // makes new signatures
	Retired        VersionState = "RETIRED"   // what it made still verifies and decrypts
)

// ListPublicKeysRequest asks for the public keys of all versions of a key. Not
// in AWS KMS.
type ListPublicKeysRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *ListPublicKeysRequest) Check(c *Checker) { r.check(c) }

// PublicKeyVersion is the public key of one version.
type PublicKeyVersion struct {
	KeyVersion int
	Kid        string // SHA-256 of PublicKey, 64 hex digits: the KeyMaterialId of the version
	PublicKey  []byte // DER SubjectPublicKeyInfo (RFC 5280)
	State      VersionState
	NotBefore  *Time // from when it is used
	NotAfter   *Time `json:",omitempty"` // from when the next one is
}

// ListPublicKeysResponse holds the versions of a key, the oldest first.
type ListPublicKeysResponse struct {
	KeyId    string // the key's ARN
	KeySpec  KeySpec
	KeyUsage KeyUsage
	Keys     []PublicKeyVersion
}

// GetKeyHistoryRequest asks for the same as a document that the key has signed.
// Not in AWS KMS.
type GetKeyHistoryRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *GetKeyHistoryRequest) Check(c *Checker) { r.check(c) }

// GetKeyHistoryResponse is a JSON Web Signature in its flattened form (RFC 7515,
// 7.2.2), made by the current version. Its payload is a JSON Web Key Set
// (RFC 7517) with iss (the key's ARN) and iat; each key has kid, nbf, exp, state
// and version beside its public members.
type GetKeyHistoryResponse struct {
	Payload   string `json:"payload"`   // base64url
	Protected string `json:"protected"` // base64url of {"alg", "kid", "typ"}
	Signature string `json:"signature"` // base64url
}
