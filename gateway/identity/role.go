package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// Errors of those who prove what a workload is.
var (
	// ErrDenied: the proof is good, and no rule lets its holder be that role; the
	// proof says who it is.
	ErrDenied = errors.New("not allowed to be this role")
	// ErrUnreachable: what a proof is checked with can not be had now.
	ErrUnreachable = errors.New("identity provider not reachable")
)

// Proof is what a workload has proved of itself, by a token of an identity
// provider or by a certificate.
type Proof struct {
	Session string            // name of the session, 2 to 64 letters, digits and _+=,.@-
	Tags    map[string]string // session tags; one of the same name as a tag of the role counts in its place

	Claims             map[string][]string // of the token; iss and sub among them
	CertificateSubject string
	CertificateSANs    []string

	Provider string // who vouches: name of the OIDC provider, or "certificate"
	Subject  string // for whom, in the provider's words

	Expires time.Time // when the proof ends; zero: never
}

// The names of sessions (AWS STS API reference, RoleSessionName).
var validSession = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)

// RoleARN is the ARN of the role of that name.
func (i *Identities) RoleARN(name string) string {
	return "arn:aws:iam::" + i.account + ":role/" + name
}

// RoleName is the name of the role that an ARN of this account names; false for
// any other ARN.
func (i *Identities) RoleName(arn string) (string, bool) {
	name, ok := strings.CutPrefix(arn, i.RoleARN(""))
	return name, ok && validName.MatchString(name)
}

// IsRole says whether a principal is a role.
func IsRole(p *store.Principal) bool { return strings.Contains(p.ARN, ":role/") }

// CreateRole is CreatePrincipal for a role, which workloads assume and which has
// no credentials of its own. Roles and other principals share their names.
func (i *Identities) CreateRole(ctx context.Context, name string, role policy.Role, keys []string, now time.Time) (policy.Principal, error) {
	return i.create(ctx, i.RoleARN(name), name, role, keys, now)
}

// mayHaveCredentials refuses credentials for a role.
func (i *Identities) mayHaveCredentials(arn string) error {
	if strings.HasPrefix(arn, i.RoleARN("")) {
		return fmt.Errorf("identity: %w: %s is a role, which has no credentials of its own: workloads assume it, and their sessions have some", ErrInvalid, arn)
	}
	return nil
}

// EndSessions ends all sessions of a role that were made until now.
func (i *Identities) EndSessions(ctx context.Context, roleARN string, now time.Time) error {
	return i.store.EndSessions(ctx, roleARN, now)
}

// Assume makes the principal of a role's session. role is the name of the role.
// ErrUnknown when there is no such role, ErrExpired when the proof has ended,
// ErrInvalid for a name or tags that no session can have.
func (i *Identities) Assume(role string, p Proof, now time.Time) (policy.Principal, error) {
	if expired(p.Expires, now) {
		return policy.Principal{}, ErrExpired
	}
	made, _, err := i.assume(i.current(), role, p)
	return made, err
}

// assume also finds the role itself.
func (i *Identities) assume(d *derived, role string, p Proof) (policy.Principal, *store.Principal, error) {
	if !validSession.MatchString(p.Session) {
		return policy.Principal{}, nil, fmt.Errorf("identity: %w: session name %q: 2 to 64 letters, digits and _+=,.@- are asked for", ErrInvalid, p.Session)
	}
	of, ok := i.store.Principal(i.RoleARN(role))
	if !ok {
		return policy.Principal{}, nil, ErrUnknown
	}
	made, err := i.known(d, of)
	if err != nil {
		return policy.Principal{}, nil, err
	}
	made.ARN = "arn:aws:sts::" + i.account + ":assumed-role/" + role + "/" + p.Session
	made.ID += ":" + p.Session
	made.Claims, made.CertificateSubject, made.CertificateSANs = p.Claims, p.CertificateSubject, p.CertificateSANs
	made.IdentityProvider, made.IdentitySubject = p.Provider, p.Subject
	if made.Tags, err = sessionTags(made.Tags, p.Tags); err != nil {
		return policy.Principal{}, nil, err
	}
	return made, of, nil
}

// sessionTags are the tags of a session: its own, and those of the role that it
// has no other value for.
func sessionTags(role, session map[string]string) (map[string]string, error) {
	if len(session) == 0 {
		return role, nil
	}
	if len(session) > maxTags {
		return nil, fmt.Errorf("identity: %w: a session has at most %d tags", ErrInvalid, maxTags)
	}
	tags := maps.Clone(session)
	folded := make(map[string]bool, len(session)) // conditions know no case
	for name, value := range session {
		if err := checkTag(name, value); err != nil {
			return nil, err
		}
		if folded[strings.ToLower(name)] {
			return nil, fmt.Errorf("identity: %w: tag %q: a session has it twice, in upper and lower case", ErrInvalid, name)
		}
		folded[strings.ToLower(name)] = true
	}
	for name, value := range role {
		if !folded[strings.ToLower(name)] {
			tags[name] = value
		}
	}
	return tags, nil
}
