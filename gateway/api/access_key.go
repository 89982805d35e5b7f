package api

// AccessKeyStatus says whether an access key may be used.
type AccessKeyStatus string

// The states of an access key.
const (
	AccessKeyActive   AccessKeyStatus = "Active"
	AccessKeyInactive AccessKeyStatus = "Inactive"
)

var (
	accessKeyStatuses = []string{string(AccessKeyActive), string(AccessKeyInactive)}
	userNameShape     = shaped(1, 64, `[\w+=,.@-]+`)
	accessKeyIDShape  = shaped(16, 128, `[\w]+`)
)

// UserTarget names a principal.
type UserTarget struct {
	UserName string `json:",omitempty"` // "" is the caller
}

// User is the name of the principal.
func (t *UserTarget) User() string { return t.UserName }

func (t *UserTarget) check(c *Checker) { c.may("userName", t.UserName, userNameShape) }

// AccessKey is an access key with its secret, which is shown this once.
type AccessKey struct {
	AccessKeyMetadata
	SecretAccessKey string
}

// AccessKeyMetadata describes an access key.
type AccessKeyMetadata struct {
	UserName    string
	AccessKeyId string
	Status      AccessKeyStatus
	CreateDate  *Time
	ValidTo     *Time `json:",omitempty"` // nil: for ever
}

// CreateAccessKeyRequest makes an access key.
type CreateAccessKeyRequest struct {
	UserTarget
	ValidTo *Time `json:",omitempty"` // nil: for ever
}

// Check names what is malformed.
func (r *CreateAccessKeyRequest) Check(c *Checker) { r.check(c) }

// CreateAccessKeyResponse holds the access key.
type CreateAccessKeyResponse struct{ AccessKey *AccessKey }

// ListAccessKeysRequest asks for all access keys of a principal.
type ListAccessKeysRequest struct{ UserTarget }

// Check names what is malformed.
func (r *ListAccessKeysRequest) Check(c *Checker) { r.check(c) }

// ListAccessKeysResponse lists access keys by id, without their secrets.
type ListAccessKeysResponse struct{ AccessKeyMetadata []AccessKeyMetadata }

// UpdateAccessKeyRequest takes an access key out of use, or into use again.
type UpdateAccessKeyRequest struct {
	UserTarget
	AccessKeyId string
	Status      AccessKeyStatus
}

// Check names what is malformed.
func (r *UpdateAccessKeyRequest) Check(c *Checker) {
	r.check(c)
	c.must("accessKeyId", r.AccessKeyId, accessKeyIDShape)
	c.enum("status", string(r.Status), accessKeyStatuses, true)
}

// DeleteAccessKeyRequest removes an access key for ever.
type DeleteAccessKeyRequest struct {
	UserTarget
	AccessKeyId string
}

// Check names what is malformed.
func (r *DeleteAccessKeyRequest) Check(c *Checker) {
	r.check(c)
	c.must("accessKeyId", r.AccessKeyId, accessKeyIDShape)
}
