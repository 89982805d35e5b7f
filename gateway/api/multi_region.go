package api

// MultiRegionKeyType says which of the related keys in several Regions one is.
type MultiRegionKeyType string

// The types of multi-Region keys.
const (
	Primary MultiRegionKeyType = "PRIMARY"
	Replica MultiRegionKeyType = "REPLICA"
)

// MultiRegionKey names one of the related keys.
type MultiRegionKey struct {
	Arn    string
	Region string
}

// MultiRegionConfiguration lists the related keys.
type MultiRegionConfiguration struct {
	MultiRegionKeyType MultiRegionKeyType
	PrimaryKey         *MultiRegionKey
	ReplicaKeys        []MultiRegionKey
}

// ReplicateKeyRequest makes a related key in another Region.
type ReplicateKeyRequest struct {
	KeyTarget
	ReplicaRegion                  string // for example eu-central-1
	Policy                         string `json:",omitempty"`
	BypassPolicyLockoutSafetyCheck bool   `json:",omitempty"`
	Description                    string `json:",omitempty"` // 0..8192 characters
	Tags                           []Tag  `json:",omitempty"`
}

// Check names what is malformed.
func (r *ReplicateKeyRequest) Check(c *Checker) {
	r.check(c)
	c.must("replicaRegion", r.ReplicaRegion, regionShape)
	c.may("policy", r.Policy, policyShape)
	c.may("description", r.Description, descriptionShape)
	c.tags(r.Tags)
}

// ReplicateKeyResponse describes the related key that was made.
type ReplicateKeyResponse struct {
	ReplicaKeyMetadata *KeyMetadata
	ReplicaPolicy      string
	ReplicaTags        []Tag
}

// UpdatePrimaryRegionRequest makes a replica the primary key.
type UpdatePrimaryRegionRequest struct {
	KeyTarget
	PrimaryRegion string // for example eu-central-1
}

// Check names what is malformed.
func (r *UpdatePrimaryRegionRequest) Check(c *Checker) {
	r.check(c)
	c.must("primaryRegion", r.PrimaryRegion, regionShape)
}
