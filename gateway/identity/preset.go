package identity

import (
	"slices"
	"strings"
)

// preset is what is known of a kind of provider.
type preset struct {
	issuer, session string
	tags            map[string]string
	// tenants are the claims that say whose the caller is, where everybody may have
	// tokens of the issuer: each rule has to bind one of them.
	tenants []string
	// subject begins a sub that says whose the caller is. Another one may be made by
	// whoever has a repository: GitHub lets each choose what its sub is put together of.
	subject string
}

var presets = map[string]preset{
	"": {session: "{sub}"},
	"github": {
		issuer: "https://token.actions.githubusercontent.com", session: "{repository}@{run_id}",
		tags:    map[string]string{"repository": "repository", "repository_owner": "repository_owner"},
		tenants: []string{"sub", "repository", "repository_id", "repository_owner", "repository_owner_id"},
		subject: "repo:",
	},
	"gitlab": {
		issuer: "https://gitlab.com", session: "{project_path}@{job_id}",
		tags:    map[string]string{"project_path": "project_path", "namespace_path": "namespace_path"},
		tenants: []string{"sub", "project_path", "project_id", "namespace_path", "namespace_id"},
		subject: "project_path:",
	},
	"kubernetes": {
		issuer: "https://kubernetes.default.svc.cluster.local", session: "{kubernetes.io/namespace}@{kubernetes.io/serviceaccount/name}",
		tags: map[string]string{"namespace": "kubernetes.io/namespace", "serviceaccount": "kubernetes.io/serviceaccount/name"},
	},
}

// bindsTenant says whether a claim of a rule says whose the caller is: "example*" would
// also be the neighbour example-two.
func (p preset) bindsTenant(claim, value string) bool {
	owner, _, whole := strings.Cut(value, "/")
	if claim == "sub" {
		var begins bool
		if owner, begins = strings.CutPrefix(owner, p.subject); !begins || !whole || strings.Contains(owner, ":") {
			return false
		}
	}
	return slices.Contains(p.tenants, claim) && owner != "" && !strings.ContainsAny(owner, "*?")
}
