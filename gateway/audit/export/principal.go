package export

import (
	"strings"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// isAccessKey tells access keys, also those of sessions, from bearer tokens, by the beginning that AWS gives them.
func isAccessKey(id string) bool {
	return strings.HasPrefix(id, "AKIA") || strings.HasPrefix(id, "ASIA")
}

// principal is who a record says has called.
type principal struct {
	kind    string // CloudTrail's userIdentity.type
	arn     string
	account string
	name    string // of the user, or of the role
	session string // of a role
	issuer  string // ARN of the role
}

func principalOf(r *audit.Record) principal {
	p := principal{kind: "Unknown", arn: r.Principal}
	if r.Face == "internal" && r.Principal == "" {
		return principal{kind: "AWSService"}
	}
	if r.Operation == "AssumeRoleWithWebIdentity" || r.Principal == "" && r.Subject != "" {
		p.kind, p.name = "WebIdentityUser", r.Subject
		_, p.account, _ = placeOf(r.Principal)
		return p
	}
	_, account, ok := placeOf(r.Principal)
	if !ok {
		p.name = r.Principal
		return p
	}
	p.account = account
	parts := strings.SplitN(r.Principal, ":", 6)
	kind, name, _ := strings.Cut(parts[5], "/")
	switch kind {
	case "root":
		p.kind = "Root"
	case "user":
		p.kind, p.name = "IAMUser", name[strings.LastIndexByte(name, '/')+1:]
	case "role":
		p.kind, p.name = "Role", name[strings.LastIndexByte(name, '/')+1:]
	case "assumed-role":
		p.kind = "AssumedRole"
		p.name, p.session, _ = strings.Cut(name, "/")
		p.issuer = "arn:" + parts[1] + ":iam::" + account + ":role/" + p.name
	case "federated-user":
		p.kind, p.name = "FederatedUser", name
	}
	return p
}
