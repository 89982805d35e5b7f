package api

// ApprovalRule says whose consent a signature with a key needs.
type ApprovalRule struct {
	Approvers []string // ARNs of principals, 1..50; a role stands for all of its sessions, as one approver
	Required  int      // how many of them have to approve, 1..50
}

func (r *ApprovalRule) check(c *Checker) {
	if r.Approvers == nil {
		c.null("approvers")
	} else if text := broken(len(r.Approvers), 1, maxApprovers); text != "" {
		c.add("", "approvers", text)
	}
	c.elements("approvers", r.Approvers, true, principalShape.failure)
	c.between("required", &r.Required, 1, maxApprovers)
}

// PutApprovalRuleRequest gives a key a rule. Where the key has one that is
// stricter, its approvers have to approve that.
type PutApprovalRuleRequest struct {
	KeyTarget
	ApprovalRule
	Reason string `json:",omitempty"` // for the approvers of the present rule
}

// Check names what is malformed.
func (r *PutApprovalRuleRequest) Check(c *Checker) {
	r.KeyTarget.check(c)
	r.ApprovalRule.check(c)
	c.may("reason", r.Reason, reasonShape)
}

// DeleteApprovalRuleRequest asks the approvers of a key to take its rule away.
type DeleteApprovalRuleRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *DeleteApprovalRuleRequest) Check(c *Checker) { r.check(c) }

// GetApprovalRuleRequest asks for the rule of a key.
type GetApprovalRuleRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *GetApprovalRuleRequest) Check(c *Checker) { r.check(c) }

// GetApprovalRuleResponse holds the rule of a key.
type GetApprovalRuleResponse struct {
	KeyId string // the key's ARN
	ApprovalRule
}
