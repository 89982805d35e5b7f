package api

// IncludeKeyMaterial says which entries ListKeyRotations lists.
type IncludeKeyMaterial string

// What ListKeyRotations may include.
const (
	AllKeyMaterial IncludeKeyMaterial = "ALL_KEY_MATERIAL"
	RotationsOnly  IncludeKeyMaterial = "ROTATIONS_ONLY"
)

// KeyMaterialState says what a key's material is used for.
type KeyMaterialState string

// The states of key material.
const (
	NonCurrent                          KeyMaterialState = "NON_CURRENT" // decrypts what it encrypted
	Current                             KeyMaterialState = "CURRENT"
	PendingRotation                     KeyMaterialState = "PENDING_ROTATION" // imported, not current yet
	PendingMultiRegionImportAndRotation KeyMaterialState = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
)

// RotationType says what began a rotation.
type RotationType string

// The types of rotations.
const (
	Automatic RotationType = "AUTOMATIC"
	OnDemand  RotationType = "ON_DEMAND"
)

// EnableKeyRotationRequest has a key rotated at regular times.
type EnableKeyRotationRequest struct {
	KeyTarget
	RotationPeriodInDays *int `json:",omitempty"` // 90..2560, 365 if absent
}

// Check names what is malformed.
func (r *EnableKeyRotationRequest) Check(c *Checker) {
	r.check(c)
	c.between("rotationPeriodInDays", r.RotationPeriodInDays, 90, 2560)
}

// DisableKeyRotationRequest ends the regular rotation of a key.
type DisableKeyRotationRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *DisableKeyRotationRequest) Check(c *Checker) { r.check(c) }

// GetKeyRotationStatusRequest asks when a key is rotated.
type GetKeyRotationStatusRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *GetKeyRotationStatusRequest) Check(c *Checker) { r.check(c) }

// GetKeyRotationStatusResponse says when a key is rotated.
type GetKeyRotationStatusResponse struct {
	KeyRotationEnabled        bool
	KeyId                     string       // the key's ARN
	RotationPeriodInDays      int          `json:",omitempty"` // only if enabled, as is the next
	NextRotationDate          *Time        `json:",omitempty"`
	OnDemandRotationStartDate *Time        `json:",omitempty"` // only while a rotation runs
	Published                 *Publication `json:",omitempty"` // only with OpenPGP certificates, of which each version needs one; not in AWS KMS
}

// ListKeyRotationsRequest asks for a page of a key's rotations.
type ListKeyRotationsRequest struct {
	KeyTarget
	IncludeKeyMaterial IncludeKeyMaterial `json:",omitempty"` // ROTATIONS_ONLY if absent
	Limit              *int               `json:",omitempty"` // 1..1000, 100 if absent
	Marker             string             `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListKeyRotationsRequest) Check(c *Checker) {
	r.check(c)
	c.enum("includeKeyMaterial", string(r.IncludeKeyMaterial), includeKeyMaterials, false)
	c.between("limit", r.Limit, 1, 1000)
	c.marker(r.Marker)
}

// RotationsListEntry describes a rotation, or material that is not current yet.
type RotationsListEntry struct {
	KeyId                  string           // the key's ARN
	KeyMaterialId          string           `json:",omitempty"` // 64 hex digits
	KeyMaterialDescription string           `json:",omitempty"`
	ImportState            ImportState      `json:",omitempty"`
	KeyMaterialState       KeyMaterialState `json:",omitempty"`
	ExpirationModel        ExpirationModel  `json:",omitempty"`
	ValidTo                *Time            `json:",omitempty"`
	RotationDate           *Time            `json:",omitempty"`
	RotationType           RotationType     `json:",omitempty"`
	KeyVersion             int              `json:",omitempty"` // not in AWS KMS
}

// ListKeyRotationsResponse is a page of rotations, the oldest first.
type ListKeyRotationsResponse struct {
	Rotations  []RotationsListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// RotateKeyOnDemandRequest gives a key a new version now.
type RotateKeyOnDemandRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *RotateKeyOnDemandRequest) Check(c *Checker) { r.check(c) }

// RotateKeyOnDemandResponse names the key that is rotated.
type RotateKeyOnDemandResponse struct {
	KeyId      string       // the key's ARN
	KeyVersion int          `json:",omitempty"` // the new one; not in AWS KMS
	Published  *Publication `json:",omitempty"` // as in GetKeyRotationStatusResponse
}
