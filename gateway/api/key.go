package api

// KeyTarget is embedded in every request that is about one key: the request is
// authorised on that key.
type KeyTarget struct {
	// KeyId is a key id, a key ARN and, for DescribeKey, GetPublicKey and the
	// cryptographic operations, an alias name or an alias ARN.
	KeyId string `json:",omitempty"`
}

// KeyRef returns the reference as the caller wrote it.
func (t *KeyTarget) KeyRef() string { return t.KeyId }

// SetKeyRef sets the reference, which on REST stands in the path.
func (t *KeyTarget) SetKeyRef(ref string) { t.KeyId = ref }

func (t *KeyTarget) check(c *Checker) { c.must("keyId", t.KeyId, keyIDShape) }

// Empty is the answer of an operation that has nothing to tell.
type Empty struct{}

// KeyMetadata describes a key.
type KeyMetadata struct {
	AWSAccountId                string
	KeyId                       string
	Arn                         string
	CreationDate                *Time
	Enabled                     bool
	Description                 string
	KeyUsage                    KeyUsage
	KeyState                    KeyState
	DeletionDate                *Time `json:",omitempty"` // only while the key waits for its destruction
	ValidTo                     *Time `json:",omitempty"` // when imported material expires
	Origin                      Origin
	CustomKeyStoreId            string          `json:",omitempty"`
	CloudHsmClusterId           string          `json:",omitempty"`
	ExpirationModel             ExpirationModel `json:",omitempty"` // only while imported material is there
	KeyManager                  KeyManager
	CustomerMasterKeySpec       KeySpec // the old name of KeySpec
	KeySpec                     KeySpec
	EncryptionAlgorithms        []EncryptionAlgorithm    `json:",omitempty"` // one of the five lists, by the key's usage
	SigningAlgorithms           []SigningAlgorithm       `json:",omitempty"`
	KeyAgreementAlgorithms      []KeyAgreementAlgorithm  `json:",omitempty"`
	MacAlgorithms               []MacAlgorithm           `json:",omitempty"`
	EncapsulationAlgorithms     []EncapsulationAlgorithm `json:",omitempty"`
	MultiRegion                 bool
	MultiRegionConfiguration    *MultiRegionConfiguration `json:",omitempty"` // only if MultiRegion
	PendingDeletionWindowInDays int                       `json:",omitempty"` // only of a primary key with replicas
	XksKeyConfiguration         *XksKeyConfiguration      `json:",omitempty"`
	CurrentKeyMaterialId        string                    `json:",omitempty"` // 64 hex digits; symmetric encryption keys
}

// CreateKeyRequest asks for a new key inside the token.
type CreateKeyRequest struct {
	Policy                         string   `json:",omitempty"` // a JSON document of at most 131072 characters
	Description                    string   `json:",omitempty"` // 0..8192 characters
	KeyUsage                       KeyUsage `json:",omitempty"`
	CustomerMasterKeySpec          KeySpec  `json:",omitempty"` // the old name of KeySpec
	KeySpec                        KeySpec  `json:",omitempty"`
	Origin                         Origin   `json:",omitempty"`
	CustomKeyStoreId               string   `json:",omitempty"`
	BypassPolicyLockoutSafetyCheck bool     `json:",omitempty"`
	Tags                           []Tag    `json:",omitempty"`
	MultiRegion                    bool     `json:",omitempty"`
	XksKeyId                       string   `json:",omitempty"`
}

// Check names what is malformed.
func (r *CreateKeyRequest) Check(c *Checker) {
	c.may("policy", r.Policy, policyShape)
	c.may("description", r.Description, descriptionShape)
	c.enum("keyUsage", string(r.KeyUsage), keyUsages, false)
	c.enum("customerMasterKeySpec", string(r.CustomerMasterKeySpec), customerMasterKeySpecs, false)
	c.enum("keySpec", string(r.KeySpec), keySpecs, false)
	c.enum("origin", string(r.Origin), origins, false)
	c.may("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
	c.tags(r.Tags)
	c.may("xksKeyId", r.XksKeyId, xksKeyIDShape)
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
	Limit  *int   `json:",omitempty"` // 1..1000, 100 if absent
	Marker string `json:",omitempty"`
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

// UpdateKeyDescriptionRequest gives a key another description.
type UpdateKeyDescriptionRequest struct {
	KeyTarget
	Description *string // 0..8192 characters; it has to be there, and may be empty
}

// Check names what is malformed.
func (r *UpdateKeyDescriptionRequest) Check(c *Checker) {
	r.check(c)
	if r.Description == nil {
		c.null("description")
		return
	}
	c.may("description", *r.Description, descriptionShape)
}

// GetPublicKeyRequest asks for a key's public half.
type GetPublicKeyRequest struct {
	KeyTarget
	GrantTokens []string `json:",omitempty"`

	// KeyVersion names a version; the current one if absent. Not in AWS KMS.
	KeyVersion *int `json:",omitempty"`
}

// Check names what is malformed.
func (r *GetPublicKeyRequest) Check(c *Checker) {
	r.check(c)
	c.grantTokens(r.GrantTokens)
	c.version(r.KeyVersion)
}

// GetPublicKeyResponse holds a public key as a DER SubjectPublicKeyInfo (RFC 5280).
type GetPublicKeyResponse struct {
	KeyId                   string // the key's ARN
	PublicKey               []byte
	CustomerMasterKeySpec   KeySpec
	KeySpec                 KeySpec
	KeyUsage                KeyUsage
	EncryptionAlgorithms    []EncryptionAlgorithm    `json:",omitempty"`
	SigningAlgorithms       []SigningAlgorithm       `json:",omitempty"`
	KeyAgreementAlgorithms  []KeyAgreementAlgorithm  `json:",omitempty"`
	EncapsulationAlgorithms []EncapsulationAlgorithm `json:",omitempty"`
	KeyVersion              int                      `json:",omitempty"` // not in AWS KMS
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
