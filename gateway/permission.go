package gateway

import (
	"slices"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A tag or an alias opens or closes a key where a policy has a condition on it. Such a
// change is recorded as one of permissions, like that of a policy or a grant.

// tagsChange marks the call where who may use the key depends on one of these tags.
func (s *Service) tagsChange(c *Call, k *store.Key, names []string) {
	c.record.PermissionChange = s.anyAsks(func(d *policy.Document) bool {
		return slices.ContainsFunc(names, d.AsksTag)
	}, k)
}

// newKeyOpens marks the call that makes a key or a replica where it brings a policy
// of its own, or a tag that a policy asks for.
func (s *Service) newKeyOpens(c *Call, k *store.Key) {
	names := make([]string, len(k.Tags))
	for i, t := range k.Tags {
		names[i] = t.Name
	}
	s.tagsChange(c, k, names)
	c.record.PermissionChange = c.record.PermissionChange || k.Policy != nil
}

// aliasChanges marks the call where who may use one of the keys depends on its aliases.
func (s *Service) aliasChanges(c *Call, keys ...*store.Key) {
	c.record.PermissionChange = s.anyAsks((*policy.Document).AsksAlias, keys...)
}

// anyAsks says whether an identity policy, or the policy of one of the keys, asks for
// something.
func (s *Service) anyAsks(does func(*policy.Document) bool, keys ...*store.Key) bool {
	for _, k := range keys {
		if k != nil && k.Policy != nil && does(k.Policy.Compiled) {
			return true
		}
	}
	return slices.ContainsFunc(s.store.Policies(), func(p *store.Policy) bool { return does(p.Document.Compiled) })
}
