package api

// ExplainAccessRequest asks how a call would be decided, without making it. Not in
// AWS KMS.
type ExplainAccessRequest struct {
	Principal string // who would call: the ARN of a principal, or the name of a user of the account
	Action    string // what would be asked for, such as kms:Sign
	KeyId     string `json:",omitempty"` // the key, in any of its names; none for an action on no key
	// Request has the other members of the operation's request that conditions may ask
	// for, such as SigningAlgorithm and EncryptionContext.
	Request map[string]any `json:",omitempty"`

	SourceAddress string              `json:",omitempty"` // whence; that of this call if absent
	Time          *Time               `json:",omitempty"` // when; now if absent
	PrincipalTags map[string]string   `json:",omitempty"` // of the principal, in place of its own of the same names
	Claims        map[string][]string `json:",omitempty"` // of the principal's token

	CertificateSubject string   `json:",omitempty"` // of the caller's client certificate, as CN=builder-7,O=Example
	CertificateSANs    []string `json:",omitempty"` // its subject alternative names, as dns:builder-7.example.com
}

// Check names what is malformed.
func (r *ExplainAccessRequest) Check(c *Checker) {
	c.must("principal", r.Principal, principalShape)
	c.must("action", r.Action, actionShape)
	c.may("keyId", r.KeyId, keyIDShape)
	c.may("sourceAddress", r.SourceAddress, addressShape)
}

// ExplainAccessResponse says how the call would be decided.
type ExplainAccessResponse struct {
	Principal string           // its ARN
	Allowed   bool             // whether all decisions allow the call
	Message   string           `json:",omitempty"` // what the caller would be told, where the call would be refused
	Decisions []AccessDecision // in their order, up to the first that denies
}

// AccessDecision is one of the decisions that a call needs.
type AccessDecision struct {
	Action    string
	Resource  string // the ARN of the key or the alias; * for the service
	Allowed   bool
	Statement string       // what decides, as in the audit record
	Reason    string       `json:",omitempty"` // of a denial
	Steps     []AccessStep // what the decision looked at
}

// AccessStep is a statement, role or grant that a decision looks at.
type AccessStep struct {
	Statement string
	Effect    string // Allow or Deny
	Applies   bool
	Why       string // it applies or does not
}
