package api

import (
	"fmt"
	"unicode/utf8"
)

// GrantOperation is something that a grant allows. It is the name of an
// operation, but for the two halves of ReEncrypt.
type GrantOperation string

// The operations that a grant may allow.
const (
	GrantDecrypt                             GrantOperation = "Decrypt"
	GrantEncrypt                             GrantOperation = "Encrypt"
	GrantGenerateDataKey                     GrantOperation = "GenerateDataKey"
	GrantGenerateDataKeyWithoutPlaintext     GrantOperation = "GenerateDataKeyWithoutPlaintext"
	GrantReEncryptFrom                       GrantOperation = "ReEncryptFrom"
	GrantReEncryptTo                         GrantOperation = "ReEncryptTo"
	GrantSign                                GrantOperation = "Sign"
	GrantVerify                              GrantOperation = "Verify"
	GrantGetPublicKey                        GrantOperation = "GetPublicKey"
	GrantCreateGrant                         GrantOperation = "CreateGrant"
	GrantRetireGrant                         GrantOperation = "RetireGrant"
	GrantDescribeKey                         GrantOperation = "DescribeKey"
	GrantGenerateDataKeyPair                 GrantOperation = "GenerateDataKeyPair"
	GrantGenerateDataKeyPairWithoutPlaintext GrantOperation = "GenerateDataKeyPairWithoutPlaintext"
	GrantGenerateMac                         GrantOperation = "GenerateMac"
	GrantVerifyMac                           GrantOperation = "VerifyMac"
	GrantDeriveSharedSecret                  GrantOperation = "DeriveSharedSecret"
	GrantEncapsulate                         GrantOperation = "Encapsulate"
	GrantDecapsulate                         GrantOperation = "Decapsulate"
)

// GrantConstraints narrow what a grant allows to calls with an encryption
// context, or for a resource.
type GrantConstraints struct {
	EncryptionContextSubset map[string]string `json:",omitempty"` // the call's context contains these pairs; at most 8
	EncryptionContextEquals map[string]string `json:",omitempty"` // the call's context is these pairs; at most 8
	SourceArn               string            `json:",omitempty"`
}

func (g *GrantConstraints) check(c *Checker) {
	if g == nil {
		return
	}
	c.constraint("constraints.encryptionContextSubset", g.EncryptionContextSubset)
	c.constraint("constraints.encryptionContextEquals", g.EncryptionContextEquals)
	c.may("constraints.sourceArn", g.SourceArn, sourceArnShape)
}

// constraint checks the pairs of a constraint: at most 8, of at most 384
// characters together (AWS KMS API reference, CreateGrant).
func (c *Checker) constraint(member string, pairs map[string]string) {
	if text := broken(len(pairs), 0, 8); text != "" {
		c.add("", member, text)
	}
	n := 0
	for k, v := range pairs {
		n += utf8.RuneCountInString(k) + utf8.RuneCountInString(v)
	}
	if n > 384 {
		c.add("", member, fmt.Sprintf("Member must have at most 384 characters in its keys and values together, not %d", n))
	}
}

// CreateGrantRequest lets a principal use a key without a change of its policy.
type CreateGrantRequest struct {
	KeyTarget
	GranteePrincipal         string            `json:",omitempty"` // an ARN; this or the service principal
	RetiringPrincipal        string            `json:",omitempty"` // an ARN
	Operations               []GrantOperation  // at least one
	Constraints              *GrantConstraints `json:",omitempty"`
	GrantTokens              []string          `json:",omitempty"`
	Name                     string            `json:",omitempty"` // makes a repeated request give the same grant
	DryRun                   bool              `json:",omitempty"`
	GranteeServicePrincipal  string            `json:",omitempty"`
	RetiringServicePrincipal string            `json:",omitempty"`

	// The grant ends by itself. Not in AWS KMS.
	ExpiresAt *Time `json:",omitempty" face:"rest"`
	Uses      *int  `json:",omitempty" face:"rest"` // 1..1000000000 calls that use the key
}

// maxUses is the most uses that a grant may be given.
const maxUses = 1_000_000_000

// Check names what is malformed.
func (r *CreateGrantRequest) Check(c *Checker) {
	r.check(c)
	c.may("granteePrincipal", r.GranteePrincipal, principalShape)
	c.may("retiringPrincipal", r.RetiringPrincipal, principalShape)
	if r.Operations == nil {
		c.null("operations")
	}
	enums(c, "operations", r.Operations, grantOperations)
	r.Constraints.check(c)
	c.grantTokens(r.GrantTokens)
	c.may("name", r.Name, grantNameShape)
	c.may("granteeServicePrincipal", r.GranteeServicePrincipal, servicePrincipalShape)
	c.may("retiringServicePrincipal", r.RetiringServicePrincipal, servicePrincipalShape)
	c.between("uses", r.Uses, 1, maxUses)
}

// CreateGrantResponse names the grant. The token lets the grantee use it at
// once; it is no proof of identity.
type CreateGrantResponse struct {
	GrantToken string
	GrantId    string
}

// GrantListEntry describes a grant.
type GrantListEntry struct {
	KeyId                    string // the key's ARN
	GrantId                  string
	Name                     string `json:",omitempty"`
	CreationDate             *Time
	GranteePrincipal         string `json:",omitempty"`
	RetiringPrincipal        string `json:",omitempty"`
	IssuingAccount           string
	Operations               []GrantOperation
	Constraints              *GrantConstraints `json:",omitempty"`
	GranteeServicePrincipal  string            `json:",omitempty"`
	RetiringServicePrincipal string            `json:",omitempty"`

	// Of a grant that ends by itself. Not in AWS KMS.
	ExpiresAt *Time `json:",omitempty"`
	Uses      *int  `json:",omitempty"`
	UsesLeft  *int  `json:",omitempty"`
}

// ListGrantsRequest asks for a page of a key's grants.
type ListGrantsRequest struct {
	KeyTarget
	Limit                   *int   `json:",omitempty"` // 1..100, 50 if absent
	Marker                  string `json:",omitempty"`
	GrantId                 string `json:",omitempty"` // only this one
	GranteePrincipal        string `json:",omitempty"` // only those of this principal
	GranteeServicePrincipal string `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListGrantsRequest) Check(c *Checker) {
	c.between("limit", r.Limit, 1, 100)
	c.marker(r.Marker)
	r.check(c)
	c.may("grantId", r.GrantId, grantIDShape)
	c.may("granteePrincipal", r.GranteePrincipal, principalShape)
	c.may("granteeServicePrincipal", r.GranteeServicePrincipal, servicePrincipalShape)
}

// ListGrantsResponse is a page of grants.
type ListGrantsResponse struct {
	Grants     []GrantListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// ListRetirableGrantsRequest asks for a page of the grants, on any key, that a
// principal may retire.
type ListRetirableGrantsRequest struct {
	Limit                    *int   `json:",omitempty"` // 1..100, 50 if absent
	Marker                   string `json:",omitempty"`
	RetiringPrincipal        string `json:",omitempty"` // an ARN; this or the service principal
	RetiringServicePrincipal string `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListRetirableGrantsRequest) Check(c *Checker) {
	c.between("limit", r.Limit, 1, 100)
	c.marker(r.Marker)
	c.may("retiringPrincipal", r.RetiringPrincipal, principalShape)
	c.may("retiringServicePrincipal", r.RetiringServicePrincipal, servicePrincipalShape)
}

// ListRetirableGrantsResponse is a page of grants.
type ListRetirableGrantsResponse = ListGrantsResponse

// RetireGrantRequest ends a grant on behalf of its grantee or of the principal
// that may retire it. It names the grant by its token, or by key and id.
type RetireGrantRequest struct {
	KeyTarget         // absent with a token
	GrantToken string `json:",omitempty"`
	GrantId    string `json:",omitempty"`
	DryRun     bool   `json:",omitempty"`
}

// OptionalKey marks a request that may leave its key out: KeyRef is then empty.
func (r *RetireGrantRequest) OptionalKey() {}

// Check names what is malformed.
func (r *RetireGrantRequest) Check(c *Checker) {
	c.may("grantToken", r.GrantToken, grantTokenShape)
	c.may("keyId", r.KeyId, keyIDShape)
	c.may("grantId", r.GrantId, grantIDShape)
}

// RevokeGrantRequest ends a grant on behalf of the key's administrator.
type RevokeGrantRequest struct {
	KeyTarget
	GrantId string
	DryRun  bool `json:",omitempty"`
}

// Check names what is malformed.
func (r *RevokeGrantRequest) Check(c *Checker) {
	r.check(c)
	c.must("grantId", r.GrantId, grantIDShape)
}
