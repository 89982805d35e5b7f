package identity

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// The names of IAM policies.
var validPolicyName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,128}$`)

// What tags of IAM principals are made of (IAM User Guide, id_tags): letters,
// digits and spaces of any script, and _ . : / = + - @.
var validTag = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

const (
	maxPolicies = 20  // of one principal
	maxTags     = 50  // of one principal
	maxTagValue = 256 // bytes
)

// PutPolicy makes an identity policy, or replaces it for all who have it; it
// holds for the next request. ErrInvalid for a name, a *policy.Error for a text.
func (i *Identities) PutPolicy(ctx context.Context, name, text string, now time.Time) error {
	if !validPolicyName.MatchString(name) {
		return fmt.Errorf("identity: %w: policy name %q: 1 to 128 letters, digits and _+=,.@- are asked for", ErrInvalid, name)
	}
	doc, err := store.NewDocument(text, policy.IdentityPolicy)
	if err != nil {
		return err
	}
	return i.store.PutPolicy(ctx, name, doc, now)
}

// Policy finds an identity policy.
func (i *Identities) Policy(name string) (*store.Policy, bool) { return i.store.Policy(name) }

// Policies lists all identity policies, sorted by name.
func (i *Identities) Policies() []*store.Policy { return i.store.Policies() }

// DeletePolicy removes an identity policy. store.ErrNotFound, and store.ErrState
// while somebody has it.
func (i *Identities) DeletePolicy(ctx context.Context, name string) error {
	return i.store.DeletePolicy(ctx, name)
}

// AttachPolicy gives a principal an identity policy; one that it has is no error.
func (i *Identities) AttachPolicy(ctx context.Context, principalARN, name string) error {
	return i.store.ChangePrincipalPolicies(ctx, principalARN, func(names []string) ([]string, error) {
		if len(names) >= maxPolicies && !slices.Contains(names, name) {
			return nil, fmt.Errorf("identity: %w: %s has %d policies, the most that a principal may have", ErrInvalid, principalARN, maxPolicies)
		}
		return append(names, name), nil
	})
}

// DetachPolicy takes an identity policy from a principal. store.ErrNotFound when
// it does not have it.
func (i *Identities) DetachPolicy(ctx context.Context, principalARN, name string) error {
	return i.store.ChangePrincipalPolicies(ctx, principalARN, func(names []string) ([]string, error) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("policy %s of principal %s: %w", name, principalARN, store.ErrNotFound)
		}
		return slices.DeleteFunc(names, func(o string) bool { return o == name }), nil
	})
}

// TagPrincipal puts tags on a principal, one of the same name being replaced, and
// takes others off.
func (i *Identities) TagPrincipal(ctx context.Context, principalARN string, set []store.Tag, remove []string) error {
	return i.store.ChangePrincipalTags(ctx, principalARN, func(old []store.Tag) ([]store.Tag, error) { return retag(old, set, remove) })
}

func retag(old, set []store.Tag, remove []string) ([]store.Tag, error) {
	tags := slices.DeleteFunc(old, func(t store.Tag) bool { return slices.Contains(remove, t.Name) })
	for _, t := range set {
		if err := checkTag(t.Name, t.Value); err != nil {
			return nil, err
		}
		tags = slices.DeleteFunc(tags, func(o store.Tag) bool { return strings.EqualFold(o.Name, t.Name) }) // conditions know no case
		tags = append(tags, t)
	}
	if len(tags) > maxTags {
		return nil, fmt.Errorf("identity: %w: a principal has at most %d tags", ErrInvalid, maxTags)
	}
	return tags, nil
}

func checkTag(name, value string) error {
	if name == "" || len(name) > 128 || len(value) > maxTagValue || !validTag.MatchString(name+value) || strings.HasPrefix(strings.ToLower(name), "aws:") {
		return fmt.Errorf("identity: %w: tag %q: letters, digits, spaces and _.:/=+-@ are asked for, at most 128 bytes in its name and 256 in its value, and no aws: before it", ErrInvalid, name)
	}
	return nil
}
