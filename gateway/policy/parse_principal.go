package policy

import "strings"

const principalRight = "an account's 12 digits, arn:aws:iam::<account>:root, :user/<name> or :role/<name>, or * would be right"

func (p *parser) principals(s *statement, n *node, m map[string]*node) *Error {
	if p.kind == IdentityPolicy {
		for _, name := range []string{"Principal", "NotPrincipal"} {
			if v := m[name]; v != nil {
				return p.fail(v.at, "an identity policy has no %s: it is for the principal that it is attached to", name)
			}
		}
		return nil
	}
	v, not, err := p.pick(n, m, "Principal")
	if err != nil {
		return err
	}
	s.notPrincipal = not
	if not && !s.deny {
		return p.fail(v.at, "NotPrincipal with the Effect Allow would allow everybody else: Principal, or the Effect Deny, would be right")
	}
	if v.kind == '"' && v.text == "*" {
		s.principals = []principal{{any: true}}
		return nil
	}
	if v.kind != '{' {
		return p.fail(v.at, "Principal is %s: \"*\" or {\"AWS\": ...} would be right", shown(v))
	}
	if len(v.members) == 0 {
		return p.fail(v.at, "Principal is empty: \"*\" or {\"AWS\": ...} would be right")
	}
	for _, e := range v.members {
		switch e.name {
		case "AWS":
		case "Service", "Federated", "CanonicalUser":
			return p.fail(e.at, "%s principals never call this gateway: {\"AWS\": ...} would be right", e.name)
		default:
			return p.fail(e.at, "unknown kind of principal %s: AWS would be right", quoted(e.name))
		}
		items, err := p.texts(e.value, "Principal")
		if err != nil {
			return err
		}
		for _, i := range items {
			who, ok := parsePrincipal(i.text)
			if !ok {
				return p.fail(i.at, "malformed principal %s: %s", quoted(i.text), principalRight)
			}
			s.principals = append(s.principals, who)
		}
	}
	return nil
}

// parsePrincipal reads one AWS principal. There are no wildcards within one, nor
// groups (IAM User Guide, reference_policies_elements_principal).
func parsePrincipal(text string) (principal, bool) {
	switch {
	case text == "*":
		return principal{any: true}, true
	case isAccount(text):
		return principal{account: text}, true
	case strings.ContainsAny(text, "*?$ "), strings.Count(text, ":") < arnParts-1, !strings.HasPrefix(text, "arn:aws"):
		return principal{}, false
	}
	account, resource := accountOf(text), part(text, partResource)
	if !isAccount(account) || part(text, partRegion) != "" {
		return principal{}, false
	}
	kind, name, named := strings.Cut(resource, "/")
	switch service := part(text, partService); {
	case service == "iam" && resource == "root":
		return principal{account: account, arn: text}, true
	case !named || name == "" || strings.HasSuffix(name, "/"):
		return principal{}, false
	case service == "iam" && (kind == "user" || kind == "role"):
		return principal{arn: text}, true
	case service == "sts" && (kind == "assumed-role" && strings.Count(name, "/") == 1 || kind == "federated-user"):
		return principal{arn: text}, true
	}
	return principal{}, false
}
