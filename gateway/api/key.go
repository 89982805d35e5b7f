package api

// KeyTarget is embedded in every request that is about one key: the request is
// authorised on that key.
type KeyTarget struct {
	// KeyId is a key id, a key ARN and, for DescribeKey, GetPublicKey and the
	// cryptographic operations, an alias name or an alias ARN.
	KeyId string `json:"KeyId"`
}

// KeyRef returns the reference as the caller wrote it.
func (t *KeyTarget) KeyRef() string { return t.KeyId }

// SetKeyRef sets the reference, which on REST stands in the path.
func (t *KeyTarget) SetKeyRef(ref string) { t.KeyId = ref }

func (t *KeyTarget) check(c *Checker) { c.required("keyId", t.KeyId, 1, 2048) }

// Empty is the answer of an operation that has nothing to tell.
type Empty struct{}

// KeyMetadata describes a key.
type KeyMetadata struct {
	AWSAccountId          string
	KeyId                 string
	Arn                   string
	CreationDate          *Time
	Enabled               bool
	Description           string
	KeyUsage              KeyUsage
	KeyState              KeyState
	DeletionDate          *Time `json:",omitempty"`
	Origin                string
	KeyManager            string
	CustomerMasterKeySpec KeySpec
	KeySpec               KeySpec
	EncryptionAlgorithms  []EncryptionAlgorithm `json:",omitempty"`
	SigningAlgorithms     []SigningAlgorithm    `json:",omitempty"`
	MultiRegion           bool
}

// Tag is a name and a value on a key.
type Tag struct{ TagKey, TagValue string }

// CreateKeyRequest asks for a new key pair inside the token.
type CreateKeyRequest struct {
	Policy                         string   `json:",omitempty"`
	Description                    string   `json:",omitempty"` // 0..8192 bytes
	KeyUsage                       KeyUsage `json:",omitempty"`
	CustomerMasterKeySpec          KeySpec  `json:",omitempty"` // the old name of KeySpec
	KeySpec                        KeySpec  `json:",omitempty"`
	Origin                         string   `json:",omitempty"`
	CustomKeyStoreId               string   `json:",omitempty"`
	BypassPolicyLockoutSafetyCheck bool     `json:",omitempty"`
	Tags                           []Tag    `json:",omitempty"`
	MultiRegion                    bool     `json:",omitempty"`
	XksKeyId                       string   `json:",omitempty"`
}

// Check names what is malformed.
func (r *CreateKeyRequest) Check(c *Checker) {
	c.text("policy", r.Policy, 131072)
	c.text("description", r.Description, 8192)
	c.enum("keyUsage", string(r.KeyUsage), keyUsages, false)
	c.enum("customerMasterKeySpec", string(r.CustomerMasterKeySpec), keySpecs, false)
	c.enum("keySpec", string(r.KeySpec), keySpecs, false)
	c.enum("origin", r.Origin, origins, false)
}

// CreateKeyResponse describes the key that was made.
type CreateKeyResponse struct{ KeyMetadata *KeyMetadata }

// DescribeKeyRequest asks for a key's metadata.
type DescribeKeyRequest struct {
	KeyTarget
	GrantTokens []string `json:",omitempty"`
}

// Check names what is malformed.
func (r *DescribeKeyRequest) Check(c *Checker) { r.check(c); c.grantTokens(r.GrantTokens) }

// DescribeKeyResponse describes a key.
type DescribeKeyResponse struct{ KeyMetadata *KeyMetadata }

// ListKeysRequest asks for a page of keys.
type ListKeysRequest struct {
	Limit  *int   `json:",omitempty" query:"Limit"` // 1..1000, 100 if absent
	Marker string `json:",omitempty" query:"Marker"`
}

// Check names what is malformed.
func (r *ListKeysRequest) Check(c *Checker) { c.between("limit", r.Limit, 1, 1000); c.marker(r.Marker) }

// KeyListEntry names a key.
type KeyListEntry struct{ KeyId, KeyArn string }

// ListKeysResponse is a page of keys, by id.
type ListKeysResponse struct {
	Keys       []KeyListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// GetPublicKeyRequest asks for a key's public half.
type GetPublicKeyRequest struct {
	KeyTarget
	GrantTokens []string `json:",omitempty"`
}

// Check names what is malformed.
func (r *GetPublicKeyRequest) Check(c *Checker) { r.check(c); c.grantTokens(r.GrantTokens) }

// GetPublicKeyResponse holds a public key as a DER SubjectPublicKeyInfo (RFC 5280).
type GetPublicKeyResponse struct {
	KeyId                 string // the key's ARN
	PublicKey             []byte
	CustomerMasterKeySpec KeySpec
	KeySpec               KeySpec
	KeyUsage              KeyUsage
	EncryptionAlgorithms  []EncryptionAlgorithm `json:",omitempty"`
	SigningAlgorithms     []SigningAlgorithm    `json:",omitempty"`
}

// EnableKeyRequest makes a disabled key usable.
type EnableKeyRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *EnableKeyRequest) Check(c *Checker) { r.check(c) }

// DisableKeyRequest makes a key unusable until it is enabled.
type DisableKeyRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *DisableKeyRequest) Check(c *Checker) { r.check(c) }

// ScheduleKeyDeletionRequest starts the waiting period before a key is destroyed.
type ScheduleKeyDeletionRequest struct {
	KeyTarget
	PendingWindowInDays *int `json:",omitempty"` // 7..30, 30 if absent
}

// Check names what is malformed.
func (r *ScheduleKeyDeletionRequest) Check(c *Checker) {
	r.check(c)
	c.between("pendingWindowInDays", r.PendingWindowInDays, 7, 30)
}

// ScheduleKeyDeletionResponse says when the key will be destroyed.
type ScheduleKeyDeletionResponse struct {
	KeyId               string // the key's ARN
	DeletionDate        *Time
	KeyState            KeyState
	PendingWindowInDays int
}

// CancelKeyDeletionRequest keeps a key that waits for its destruction.
type CancelKeyDeletionRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *CancelKeyDeletionRequest) Check(c *Checker) { r.check(c) }

// CancelKeyDeletionResponse names the key, which is now disabled.
type CancelKeyDeletionResponse struct{ KeyId string }
