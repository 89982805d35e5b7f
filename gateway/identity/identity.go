// Package identity says who is calling: it keeps principals and their
// credentials, and turns a bearer token or an access key into a
// policy.Principal.
//
// A bearer token is "hsmgate_<id>_<secret>"; only the SHA-256 of the secret is
// stored, which is enough because the secret is 256 random bits. An access key
// is what AWS clients sign requests with, so its secret must be readable: it is
// sealed by AES-256-GCM under a key that is not in the database.
//
// Workloads have no such credential: they prove what they are, and assume a role
// for a session. A session is kept nowhere; its token says, sealed, all of it.
package identity

import (
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// Errors, for errors.Is. Those of the store (store.ErrNotFound,
// store.ErrExists) come through too.
var (
	// ErrUnknown: no such credential, or a wrong secret; which of the two
	// is not told.
	ErrUnknown = errors.New("unknown credential")
	// ErrExpired: the credential is right and its time is over.
	ErrExpired = errors.New("expired credential")
	// ErrDisabled: the access key was disabled.
	ErrDisabled = errors.New("disabled credential")
	// ErrSealKey: a sealed secret does not open with this seal key, or the
	// file of the seal key can not be used.
	ErrSealKey = errors.New("unusable seal key")
	// ErrInvalid: an argument that can not be accepted.
	ErrInvalid = errors.New("invalid")
)

// Identities knows all principals. Its methods may be called from several
// goroutines; Bearer and AccessKey read memory only.
type Identities struct {
	store    *store.Store
	seal     cipher.AEAD
	sessions sessions
	answers  cipher.AEAD // of signatures that are kept for repeats
	account  string
	derived  atomic.Pointer[derived]

	providers    []*provider // of OIDC tokens
	tokens       remembered[*verified]
	certificates *certificates // nil: client certificates are not asked for
}

// derived is what was worked out from the store's values, by their pointers.
// It is thrown away when any of them changes, so that the secret of a deleted
// access key does not stay in memory.
type derived struct {
	generation uint64
	principals sync.Map // *store.Principal -> *policy.Principal
	secrets    sync.Map // *store.AccessKey -> string
}

var (
	validAccount = regexp.MustCompile(`^[0-9]{12}$`)
	// The names of IAM users.
	validName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
)

// New checks that sealKey (32 bytes) opens every sealed secret of the store,
// and answers ErrSealKey when it does not. account is the 12-digit account id
// of ARNs.
func New(s *store.Store, sealKey []byte, account string) (*Identities, error) {
	if !validAccount.MatchString(account) {
		return nil, fmt.Errorf("identity: %w: account id %q: 12 digits are asked for", ErrInvalid, account)
	}
	seal, err := newSeal(sealKey)
	if err != nil {
		return nil, err
	}
	sessions, err := newSessions(sealKey)
	if err != nil {
		return nil, err
	}
	answers, err := newAnswers(sealKey)
	if err != nil {
		return nil, err
	}
	i := &Identities{store: s, seal: seal, sessions: sessions, answers: answers, account: account}
	i.derived.Store(&derived{generation: s.IdentityGeneration()})
	for _, k := range s.AccessKeys("") {
		if _, err := i.open(k.ID, k.SealedSecret); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// PrincipalARN is the ARN of the principal of that name.
func (i *Identities) PrincipalARN(name string) string {
	return "arn:aws:iam::" + i.account + ":user/" + name
}

// CreatePrincipal adds a principal. name follows the rules of IAM user names:
// 1 to 64 letters, digits and _+=,.@-. keys are ids of existing keys, for
// policy.RoleUser only. ErrInvalid, store.ErrExists, store.ErrNotFound.
func (i *Identities) CreatePrincipal(ctx context.Context, name string, role policy.Role, keys []string, now time.Time) (policy.Principal, error) {
	return i.create(ctx, i.PrincipalARN(name), name, role, keys, now)
}

func (i *Identities) create(ctx context.Context, arn, name string, role policy.Role, keys []string, now time.Time) (policy.Principal, error) {
	switch {
	case !validName.MatchString(name):
		return policy.Principal{}, fmt.Errorf("identity: %w: principal name %q: 1 to 64 letters, digits and _+=,.@- are asked for", ErrInvalid, name)
	case !role.Valid():
		return policy.Principal{}, fmt.Errorf("identity: %w: role %q: use %s or %s", ErrInvalid, role, policy.RoleAdministrator, policy.RoleUser)
	case role != policy.RoleUser && len(keys) > 0:
		return policy.Principal{}, fmt.Errorf("identity: %w: the role %s is not limited to keys: name none", ErrInvalid, role)
	}
	p := &store.Principal{ARN: arn, Name: name, Role: string(role), Keys: keys, CreatedAt: now}
	if err := i.store.InsertPrincipal(ctx, p); err != nil {
		return policy.Principal{}, fmt.Errorf("identity: %w", err)
	}
	made, err := i.toPolicy(p)
	if err != nil {
		return policy.Principal{}, err
	}
	return *made, nil
}

// SetPrincipalKeys replaces the key ids that a user may use; it holds for the
// next request.
func (i *Identities) SetPrincipalKeys(ctx context.Context, principalARN string, keys []string) error {
	p, ok := i.store.Principal(principalARN)
	if ok && policy.Role(p.Role) != policy.RoleUser {
		return fmt.Errorf("identity: %w: the role %s is not limited to keys", ErrInvalid, p.Role)
	}
	return i.store.SetPrincipalKeys(ctx, principalARN, keys)
}

// Principals lists all principals, sorted by ARN.
func (i *Identities) Principals() []*store.Principal { return i.store.Principals() }

// Principal finds a principal in the form that decisions are made on. ErrUnknown
// when there is none.
func (i *Identities) Principal(arn string) (policy.Principal, error) {
	return i.principal(i.current(), arn)
}

// DeletePrincipal removes a principal with all its credentials.
func (i *Identities) DeletePrincipal(ctx context.Context, principalARN string) error {
	return i.store.DeletePrincipal(ctx, principalARN)
}

// principal finds a principal in the form that decisions are made on.
func (i *Identities) principal(d *derived, arn string) (policy.Principal, error) {
	p, ok := i.store.Principal(arn)
	if !ok {
		return policy.Principal{}, ErrUnknown // deleted since its credential was read
	}
	return i.known(d, p)
}

// known is toPolicy once for each state of a principal.
func (i *Identities) known(d *derived, p *store.Principal) (policy.Principal, error) {
	if known, ok := d.principals.Load(p); ok {
		return *known.(*policy.Principal), nil
	}
	made, err := i.toPolicy(p)
	if err != nil {
		return policy.Principal{}, err
	}
	d.principals.Store(p, made)
	return *made, nil
}

// current is taken before the store is read: a value that a change removes
// meanwhile is then kept with the older one, which that change throws away.
func (i *Identities) current() *derived {
	d := i.derived.Load()
	if g := i.store.IdentityGeneration(); d.generation != g {
		d = &derived{generation: g}
		i.derived.Store(d)
	}
	return d
}

// toPolicy attaches the policies of a principal. One that is missing or was made
// unreadable is an error: a principal without its denials may not call.
func (i *Identities) toPolicy(p *store.Principal) (*policy.Principal, error) {
	keys := make(map[string]bool, len(p.Keys))
	for _, id := range p.Keys {
		keys[id] = true
	}
	made := &policy.Principal{ARN: p.ARN, ID: principalID(p), Role: policy.Role(p.Role), Keys: keys}
	for _, name := range p.Policies {
		named, ok := i.store.Policy(name)
		if !ok {
			return nil, ErrUnknown // removed meanwhile
		}
		a, err := policy.Attach(name, named.Document.Compiled)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		made.Policies = append(made.Policies, a)
	}
	if len(p.Tags) > 0 {
		made.Tags = make(map[string]string, len(p.Tags))
	}
	for _, t := range p.Tags {
		made.Tags[t.Name] = t.Value
	}
	return made, nil
}

// principalID is the unique id of a principal, which the next one of its name does
// not have (IAM User Guide, reference_identifiers, Unique identifiers).
func principalID(p *store.Principal) string {
	prefix := "AIDA"
	if IsRole(p) {
		prefix = "AROA"
	}
	sum := sha256.Sum256([]byte(p.ARN + " " + strconv.FormatInt(p.CreatedAt.UnixMicro(), 10)))
	return prefix + strings.ToUpper(lowerBase32.EncodeToString(sum[:]))[:17]
}

// expired: a credential is good before its expiry; a zero expiry is never.
func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
