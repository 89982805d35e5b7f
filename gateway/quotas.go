package gateway

import (
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// Quotas bound what callers may make. A quota that is 0 is its default, which is
// that of AWS KMS where it has one.
type Quotas struct {
	// Keys is how many keys a region may have, whatever their state. Calls that
	// make keys at the same moment may go beyond it by their number.
	// Default 100000.
	Keys int `yaml:"keys"`
	// AliasesPerKey is how many names one key may have. Default 50.
	AliasesPerKey int `yaml:"aliases_per_key"`
	// TagsPerKey is how many tags one key may have. Default 50.
	TagsPerKey int `yaml:"tags_per_key"`
	// RotationsPerKey is how often one key may be rotated on demand. Default 25.
	RotationsPerKey int `yaml:"rotations_per_key"`
	// GrantsPerKey is how many grants one key may have. Default 50000.
	GrantsPerKey int `yaml:"grants_per_key"`
	// AccessKeysPerUser is how many access keys a user may have before CreateAccessKey
	// refuses another, whatever their state; 'hsmgated credential' makes more. Calls to
	// several daemons at the same moment may go beyond it by their number. Default 10.
	AccessKeysPerUser int `yaml:"access_keys_per_user"`
	// PolicyBytes is how long a key policy may be. Default and most: 32768.
	PolicyBytes int `yaml:"policy_bytes"`
}

// withDefaults puts the quotas of AWS KMS (its developer guide, Quotas) where
// nothing is said. AWS IAM lets users have 2 access keys, which is few for one that
// several machines call as.
func (q Quotas) withDefaults() Quotas {
	for quota, otherwise := range map[*int]int{&q.Keys: 100_000, &q.AliasesPerKey: 50, &q.TagsPerKey: 50, &q.RotationsPerKey: 25,
		&q.GrantsPerKey: 50_000, &q.AccessKeysPerUser: 10, &q.PolicyBytes: policy.MaxKeyPolicy} {
		if *quota == 0 {
			*quota = otherwise
		}
	}
	return q
}

// roomForKey refuses a key beyond those that a region may have.
func (s *Service) roomForKey(region string) *api.Error {
	if s.store.KeyCountIn(region) >= s.quotas.Keys {
		return api.Errorf(api.LimitExceeded, "The account has %d keys in %s, the most that it may have. An operator can raise quotas.keys.", s.quotas.Keys, region)
	}
	return nil
}

// roomForAccessKey refuses an access key beyond those that a user may have.
func (s *Service) roomForAccessKey(user string) *api.Error {
	if len(s.store.AccessKeys(user)) >= s.quotas.AccessKeysPerUser {
		return api.Errorf(api.LimitExceeded, "%s has %d access keys, the most that a user may have. Delete one that is no longer used; an operator can raise quotas.access_keys_per_user.", user, s.quotas.AccessKeysPerUser)
	}
	return nil
}

// roomForAlias refuses a name beyond those that the key of a call may have.
func (s *Service) roomForAlias(c *Call) *api.Error {
	if s.store.AliasCount(c.key.Region, c.key.ID) >= s.quotas.AliasesPerKey {
		return api.Errorf(api.LimitExceeded, "%s has %d aliases, the most that a key may have.", c.record.KeyARN, s.quotas.AliasesPerKey)
	}
	return nil
}
