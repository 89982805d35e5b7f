package gateway

// recordProven names in the record of a signature what the identity token of its caller
// proves of where it comes from. What the caller states of that stands beside it, and
// nothing compares the two but a policy (hsmgate:Claim/…, hsmgate:Artifact…).
func (c *Call) recordProven() {
	r := &c.record
	r.ProvenRepo = c.claim("repository", "project_path")
	r.ProvenCommit = c.claim("sha")
	r.ProvenRun = c.claim("run_id", "pipeline_id")
	r.ProvenWorkflow = c.claim("workflow_ref", "ci_config_ref_uri")
}

// claim is the first of these claims that the caller's token has, by the names that
// GitHub and GitLab give them.
func (c *Call) claim(names ...string) string {
	for _, name := range names {
		if values := c.Principal.Claims[name]; len(values) == 1 {
			return values[0]
		}
	}
	return ""
}
