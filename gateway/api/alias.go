package api

// CreateAliasRequest gives a key a name.
type CreateAliasRequest struct {
	AliasName   string
	TargetKeyId string // a key id or a key ARN
}

// Check names what is malformed.
func (r *CreateAliasRequest) Check(c *Checker) {
	c.must("aliasName", r.AliasName, aliasNameShape)
	c.must("targetKeyId", r.TargetKeyId, keyIDShape)
}

// Alias returns the name that the request is about.
func (r *CreateAliasRequest) Alias() string { return r.AliasName }

// KeyRef returns the key that the alias is to name.
func (r *CreateAliasRequest) KeyRef() string { return r.TargetKeyId }

// UpdateAliasRequest points an alias at another key of the same usage and type.
type UpdateAliasRequest struct {
	AliasName   string
	TargetKeyId string // a key id or a key ARN
}

// Check names what is malformed.
func (r *UpdateAliasRequest) Check(c *Checker) {
	c.must("aliasName", r.AliasName, aliasNameShape)
	c.must("targetKeyId", r.TargetKeyId, keyIDShape)
}

// KeyRef returns the key that the alias is to name.
func (r *UpdateAliasRequest) KeyRef() string { return r.TargetKeyId }

// Alias returns the name that the request is about.
func (r *UpdateAliasRequest) Alias() string { return r.AliasName }

// SetAliasName sets the name, which on REST stands in the path.
func (r *UpdateAliasRequest) SetAliasName(name string) { r.AliasName = name }

// Alias returns the name that the request is about.
func (r *DeleteAliasRequest) Alias() string { return r.AliasName }

// SetAliasName sets the name, which on REST stands in the path.
func (r *DeleteAliasRequest) SetAliasName(name string) { r.AliasName = name }

// KeyRef returns the alias itself: the key that it names is the one asked about.
func (r *DeleteAliasRequest) KeyRef() string { return r.AliasName }

// DeleteAliasRequest removes a name; the key stays.
type DeleteAliasRequest struct{ AliasName string }

// Check names what is malformed.
func (r *DeleteAliasRequest) Check(c *Checker) { c.must("aliasName", r.AliasName, aliasNameShape) }

// ListAliasesRequest asks for a page of aliases.
type ListAliasesRequest struct {
	KeyId  string `json:",omitempty"` // only those of this key: an id or an ARN
	Limit  *int   `json:",omitempty"` // 1..100, 50 if absent
	Marker string `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListAliasesRequest) Check(c *Checker) {
	c.may("keyId", r.KeyId, keyIDShape)
	c.between("limit", r.Limit, 1, 100)
	c.marker(r.Marker)
}

// AliasListEntry describes an alias.
type AliasListEntry struct {
	AliasName       string
	AliasArn        string
	TargetKeyId     string
	CreationDate    *Time
	LastUpdatedDate *Time
}

// ListAliasesResponse is a page of aliases, by name.
type ListAliasesResponse struct {
	Aliases    []AliasListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}
