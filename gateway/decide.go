package gateway

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// question is one decision that a call needs.
type question struct {
	action   string
	key      *store.Key // nil: there is none, or the action is on none
	id       string     // of the key, whether it is there or not
	arn      string     // of the key or the alias; "" for the service itself
	resource string     // what a denial names: what the caller named
	named    keyRef     // how the caller named the key
	region   string     // that is asked for; "": that of the call
}

// unknown is the question as it would be if no key had that name.
func (q question) unknown() question {
	q.key, q.id, q.arn = nil, q.named.id, q.named.arn
	return q
}

// onKey is the question whether a call may do something with a key that is there.
func (s *Service) onKey(c *Call, k *store.Key) question {
	arn := s.arn(k)
	return question{action: c.op.permission, key: k, id: k.ID, arn: arn, resource: arn,
		named: keyRef{region: k.Region, id: k.ID, arn: arn}, region: k.Region}
}

// decide asks the policy. A caller whose own roles and policies do not allow the
// action on such a name is told the same whether there is a key or not.
func (s *Service) decide(c *Call, q question) *api.Error {
	r := s.request(c, q)
	d := policy.Evaluate(r)
	c.record.Reason = d.Statement
	if c.explained != nil {
		c.explained(q, r, d)
	}
	if d.Allowed {
		if q.key != nil { // grants are on keys; what a call needs beside takes none of their uses
			c.counted = d.CountedGrant
		}
		return nil
	}
	if q.key != nil {
		if told := policy.Evaluate(s.request(c, q.unknown())); !told.Allowed {
			d = told
		}
	}
	return api.Errorf(api.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s %s%s",
		c.Principal.ARN, q.action, q.resource, d.Because(), beside(q, d))
}

// beside tells who is shut out by a key policy as AWS KMS writes it, kms:* for the
// account, what it lacks.
func beside(q question, d policy.Decision) string {
	if q.key == nil || q.key.Policy == nil || !strings.HasPrefix(q.action, "hsmgate:") || d.Reason != policy.NotInResource(q.action) {
		return ""
	}
	return ". kms:* in the key policy does not mean it: let a statement allow hsmgate:*, too"
}

// request puts a decision together. Where roles alone decide, as on a key without
// a policy or grants, nothing is gathered that only conditions ask for.
func (s *Service) request(c *Call, q question) policy.Request {
	r := policy.Request{Principal: c.Principal, Action: q.action, KeyID: q.id, ResourceARN: q.arn, Resource: q.resource}
	if q.key != nil {
		r.Key, r.Grants = s.store.Access(q.key.Region, q.key.ID, c.Principal.ARN)
		if q.key.Policy != nil {
			r.KeyPolicy = q.key.Policy.Compiled
		}
		if c.grant != nil {
			r.GrantID, r.Grants = c.grant.ID, []policy.Grant{c.grant.Grant}
		}
		if q.key.Rule != nil && strings.HasPrefix(q.action, "hsmgate:") {
			r.Grants = slices.Concat(r.Grants, s.partsIn(q.key, c.Principal.ARN)) // never into what the store has
		}
	}
	if r.KeyPolicy != nil || len(r.Grants) > 0 || len(c.Principal.Policies) > 0 {
		s.describe(c, q, &r)
	}
	return r
}

// describe adds what conditions may ask for.
func (s *Service) describe(c *Call, q question, r *policy.Request) {
	if r.Time = c.at; r.Time.IsZero() {
		r.Time = s.now()
	}
	r.Caller = policy.Caller{UserAgent: c.UserAgent, SecureTransport: c.Secure, Region: q.region}
	if q.region == "" {
		r.Caller.Region = s.namesFor(c).Region
	}
	if ip, err := netip.ParseAddr(c.SourceAddress); err == nil {
		r.Caller.SourceIP = ip
	}
	if in, ok := c.in.(*api.CreateKeyRequest); ok {
		r.Key = newKeyView(in)
	}
	if _, ok := c.in.(*api.ReplicateKeyRequest); ok && q.action == createKey {
		r.Key = newReplicaView(c.key)
	}
	r.Call = s.parameters(c)
	if _, aboutAlias := c.in.(interface{ Alias() string }); !aboutAlias {
		r.Call.RequestAlias = q.named.alias
	}
}

// newKeyView is what conditions may ask of a key that is to be made.
func newKeyView(in *api.CreateKeyRequest) *policy.Key {
	spec, usage, err := newKeyKind(in)
	if err != nil { // the call will fail of it
		spec, usage = in.KeySpec, in.KeyUsage
	}
	origin := in.Origin
	if origin == "" {
		origin = api.OriginAWSKMS
	}
	v := &policy.Key{Spec: string(spec), Usage: string(usage), Origin: string(origin), MultiRegion: policy.FlagOf(in.MultiRegion)}
	if in.MultiRegion {
		v.MultiRegionKeyType = string(api.Primary)
	}
	return v
}

// createKey is the permission to make a key, which a replica needs, too.
const createKey = "kms:CreateKey"

// newReplicaView is newKeyView for a replica of a key.
func newReplicaView(k *store.Key) *policy.Key {
	return &policy.Key{Spec: k.Spec, Usage: k.Usage, Origin: k.Origin, MultiRegion: policy.True, MultiRegionKeyType: string(api.Replica)}
}

// decideAlias asks for the half of an operation that is about the alias.
func (s *Service) decideAlias(c *Call, in any, names Names) *api.Error {
	named, ok := in.(interface{ Alias() string })
	if !ok {
		return nil
	}
	arn := names.aliasARN(named.Alias())
	return s.decide(c, question{action: c.op.permission, arn: arn, resource: arn})
}

// decideAlso asks for another action on the service itself that a call needs.
func (s *Service) decideAlso(c *Call, action, region string) *api.Error {
	return s.decide(c, question{action: action, resource: "*", region: region})
}

// lockedOut says whether the caller could not change the policy of a key again.
func (s *Service) lockedOut(c *Call, doc *store.Document, k *store.Key) bool {
	q := s.onKey(c, k)
	r := policy.Request{Principal: c.Principal, Action: q.action, KeyID: q.id, ResourceARN: q.arn, Resource: q.resource}
	s.describe(c, q, &r)
	if r.Key, _ = s.store.Access(k.Region, k.ID, ""); r.Key == nil { // it is to be made
		r.Key = k.View(nil)
	}
	return policy.LockedOut(doc.Compiled, r)
}
