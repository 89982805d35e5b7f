package api

// GetKeyPolicyRequest asks for a key's policy.
type GetKeyPolicyRequest struct {
	KeyTarget
	PolicyName string `json:",omitempty"` // default, the only one, if absent
}

// Check names what is malformed.
func (r *GetKeyPolicyRequest) Check(c *Checker) {
	r.check(c)
	c.may("policyName", r.PolicyName, policyNameShape)
}

// GetKeyPolicyResponse holds a key's policy.
type GetKeyPolicyResponse struct {
	Policy     string // a JSON document
	PolicyName string `json:",omitempty"`
}

// PutKeyPolicyRequest replaces a key's policy.
type PutKeyPolicyRequest struct {
	KeyTarget
	PolicyName                     string `json:",omitempty"` // default, the only one, if absent
	Policy                         string // a JSON document; see the limit of the operation, 32768 bytes
	BypassPolicyLockoutSafetyCheck bool   `json:",omitempty"`
}

// Check names what is malformed.
func (r *PutKeyPolicyRequest) Check(c *Checker) {
	r.check(c)
	c.may("policyName", r.PolicyName, policyNameShape)
	c.must("policy", r.Policy, policyShape)
}

// ListKeyPoliciesRequest asks for the names of a key's policies.
type ListKeyPoliciesRequest struct {
	KeyTarget
	Limit  *int   `json:",omitempty"` // 1..1000, 100 if absent
	Marker string `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListKeyPoliciesRequest) Check(c *Checker) {
	r.check(c)
	c.between("limit", r.Limit, 1, 1000)
	c.marker(r.Marker)
}

// ListKeyPoliciesResponse names a key's policies: default.
type ListKeyPoliciesResponse struct {
	PolicyNames []string
	NextMarker  string `json:",omitempty"`
	Truncated   bool
}
