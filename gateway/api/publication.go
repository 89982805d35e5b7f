package api

// A key may be published: anybody may then read its public keys under a name. Not in AWS KMS.

var (
	publicationNameShape = shaped(1, 63, `[a-z0-9][a-z0-9-]*`)
	sshPrincipalShape    = shaped(1, 256, `[A-Za-z0-9._+@-]+`) // none of what is a pattern in an allowed signers file
)

// maxOpenPGP bounds an OpenPGP certificate, in bytes.
const maxOpenPGP = 8192

// PublishKeyRequest publishes a key, or publishes it anew: what it holds takes the place of what was there, but for the
// OpenPGP certificates of other versions with the same user id.
type PublishKeyRequest struct {
	KeyTarget
	Name      string // lower-case letters, digits and -, 1..63; unique
	Principal string `json:",omitempty"` // who signs, in an SSH allowed signers file
	// OpenPGP is the certificate of one version of the key, binary or armored: the key, one user id and the key's signature
	// of that.
	OpenPGP []byte `json:",omitempty"`
}

// Check names what is malformed.
func (r *PublishKeyRequest) Check(c *Checker) {
	r.KeyTarget.check(c)
	c.must("name", r.Name, publicationNameShape)
	c.may("principal", r.Principal, sshPrincipalShape)
	c.mayBlob("openPGP", r.OpenPGP, 1, maxOpenPGP)
}

// Publication is under which name anybody may read a key's public keys.
type Publication struct {
	Name            string
	KeyId           string // the key's ARN
	Principal       string `json:",omitempty"`
	UserId          string `json:",omitempty"` // of the OpenPGP certificates
	OpenPGPVersions []int  `json:",omitempty"` // the versions that have one
	CurrentVersion  int    `json:",omitempty"`
	PublishedDate   *Time
}

// UnpublishKeyRequest ends the publication of a key.
type UnpublishKeyRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *UnpublishKeyRequest) Check(c *Checker) { r.check(c) }

// ListPublicationsRequest asks for all keys that are published.
type ListPublicationsRequest struct{}

// Check finds nothing malformed.
func (*ListPublicationsRequest) Check(*Checker) {}

// ListPublicationsResponse holds them by name: 1000 at most.
type ListPublicationsResponse struct{ Publications []Publication }
