package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// grantable are the operations that a grant on a key of each usage may allow,
// beside those that every key has.
var grantable = map[api.KeyUsage][]api.GrantOperation{
	api.SignVerify:             {api.GrantSign, api.GrantVerify, api.GrantGetPublicKey},
	api.GenerateVerifyMac:      {api.GrantGenerateMac, api.GrantVerifyMac},
	api.KeyAgreement:           {api.GrantDeriveSharedSecret, api.GrantGetPublicKey},
	api.EncapsulateDecapsulate: {api.GrantEncapsulate, api.GrantDecapsulate, api.GrantGetPublicKey},
	api.EncryptDecrypt:         {api.GrantEncrypt, api.GrantDecrypt, api.GrantReEncryptFrom, api.GrantReEncryptTo},
}

func mayGrant(k *store.Key, o api.GrantOperation) bool {
	switch o {
	case api.GrantDescribeKey, api.GrantCreateGrant, api.GrantRetireGrant:
		return true
	case api.GrantGenerateDataKey, api.GrantGenerateDataKeyWithoutPlaintext, api.GrantGenerateDataKeyPair, api.GrantGenerateDataKeyPairWithoutPlaintext:
		return api.KeySpec(k.Spec) == api.Symmetric
	case api.GrantGetPublicKey:
		return !isSecret(api.KeySpec(k.Spec))
	}
	return slices.Contains(grantable[api.KeyUsage(k.Usage)], o)
}

// newGrant checks what CreateGrant is asked to make.
func (s *Service) newGrant(c *Call, in *api.CreateGrantRequest) (*store.Grant, *api.Error) {
	g := &store.Grant{Region: c.key.Region, Name: in.Name, CreatedAt: s.now(), Grant: policy.Grant{
		ID: newGrantID(), KeyID: c.key.ID, Grantee: in.GranteePrincipal, RetiringPrincipal: in.RetiringPrincipal,
	}}
	switch {
	case in.GranteeServicePrincipal != "", in.RetiringServicePrincipal != "":
		return nil, api.Errorf(api.UnsupportedOperation, "Service principals never call this gateway. Name the GranteePrincipal and the RetiringPrincipal by their ARNs.")
	case in.GranteePrincipal == "":
		return nil, api.Errorf(api.Validation, "You must specify a GranteePrincipal.")
	}
	for _, arn := range []string{in.GranteePrincipal, in.RetiringPrincipal} {
		if err := s.checkPrincipal(arn); err != nil {
			return nil, err
		}
	}
	if len(in.Operations) == 0 {
		return nil, api.Errorf(api.Validation, "A grant allows at least one operation.")
	}
	for _, o := range in.Operations {
		if !mayGrant(c.key, o) {
			return nil, api.Errorf(api.Validation, "Operation %s is not supported by %s, whose key spec is %s and key usage %s.", o, c.record.KeyARN, c.key.Spec, c.key.Usage)
		}
		g.Operations = append(g.Operations, string(o))
	}
	slices.Sort(g.Operations)
	g.Operations = slices.Compact(g.Operations)
	if err := s.checkEnds(in); err != nil {
		return nil, err
	}
	if in.ExpiresAt != nil {
		g.Expires = in.ExpiresAt.Time
	}
	if in.Uses != nil {
		g.Uses = int64(*in.Uses)
		g.UsesLeft = &g.Uses
	}
	return g, constrain(c, g, in.Constraints)
}

// constrain adds the constraint of a grant, which is for symmetric encryption
// keys alone (KMS API reference, GrantConstraints).
func constrain(c *Call, g *store.Grant, by *api.GrantConstraints) *api.Error {
	switch {
	case by == nil:
		return nil
	case by.SourceArn != "":
		return api.Errorf(api.UnsupportedOperation, "Constraints on a SourceArn are not supported: no service calls this gateway on behalf of a resource.")
	case len(by.EncryptionContextEquals) > 0 && len(by.EncryptionContextSubset) > 0:
		return api.Errorf(api.Validation, "A grant has one constraint: EncryptionContextEquals or EncryptionContextSubset.")
	case len(by.EncryptionContextEquals)+len(by.EncryptionContextSubset) == 0:
		return nil
	case api.KeySpec(c.key.Spec) != api.Symmetric:
		return api.Errorf(api.Validation, "Constraints on the encryption context are for symmetric encryption keys; %s has key spec %s.", c.record.KeyARN, c.key.Spec)
	}
	if len(by.EncryptionContextEquals) > 0 {
		g.EncryptionContextEquals = by.EncryptionContextEquals
	} else {
		g.EncryptionContextSubset = by.EncryptionContextSubset
	}
	return nil
}

// checkPrincipal refuses what can never call: another form of ARN, or a user or a
// role of this account that is not there. "" is nobody.
func (s *Service) checkPrincipal(arn string) *api.Error {
	if arn == "" {
		return nil
	}
	if !policy.IsPrincipal(arn) {
		return api.Errorf(api.InvalidArn, "%q is not the ARN of a principal: arn:aws:iam::%s:user/<name> is.", arn, s.names.Account)
	}
	if own := s.owner(arn); own != "" {
		if _, ok := s.store.Principal(own); !ok {
			return api.Errorf(api.InvalidArn, "There is no principal %s.", own)
		}
	}
	return nil
}

// owner is the principal of this account that has to be there for who an ARN names
// to be able to call: a user, a role, or the role of a session. "" for any other.
func (s *Service) owner(arn string) string {
	if role := policy.RoleOf(arn); role != "" {
		arn = role
	}
	for _, kind := range []string{":user/", ":role/"} {
		if strings.HasPrefix(arn, "arn:aws:iam::"+s.names.Account+kind) {
			return arn
		}
	}
	return ""
}

// owners are the principals that have to be there when a grant for these is made.
func (s *Service) owners(arns ...string) (owners []string) {
	for _, arn := range arns {
		if own := s.owner(arn); own != "" {
			owners = append(owners, own)
		}
	}
	return owners
}

// recordGrant says in the record what a new grant allows.
func (c *Call) recordGrant(g *store.Grant) {
	c.record.GrantOperations, c.record.GrantUses = strings.Join(g.Operations, ","), int(g.Uses)
	if !g.Expires.IsZero() {
		c.record.GrantExpires = g.Expires.UTC().Format(time.RFC3339)
	}
}

// CreateGrant lets a principal use a key. The same again, under the same name,
// gives the same grant.
func (s *Service) CreateGrant(ctx context.Context, c *Call, in *api.CreateGrantRequest) (*api.CreateGrantResponse, *api.Error) {
	g, err := s.newGrant(c, in)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	c.record.GrantID, c.record.Grantee, c.record.PermissionChange = g.ID, g.Grantee, true
	c.recordGrant(g)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	made, cause := s.store.InsertGrant(ctx, g, s.quotas.GrantsPerKey, s.owners(g.Grantee, g.RetiringPrincipal)...)
	switch {
	case errors.Is(cause, store.ErrNoPrincipal): // deleted meanwhile
		return nil, api.Errorf(api.InvalidArn, "The principal of the grant was deleted at the same time.")
	case errors.Is(cause, store.ErrFull):
		return nil, api.Errorf(api.LimitExceeded, "%s has %d grants, the most that a key may have.", c.record.KeyARN, s.quotas.GrantsPerKey)
	case errors.Is(cause, store.ErrInvalid):
		return nil, api.Errorf(api.Validation, "A constraint holds a character that cannot be stored: U+0000.")
	case cause != nil:
		return nil, s.stateError(c, cause)
	}
	c.record.GrantID = made.ID
	if made.ID == g.ID {
		c.undoBy(s, func(ctx context.Context) error {
			_, err := s.store.DeleteGrant(ctx, g.ID)
			return err
		})
	}
	return &api.CreateGrantResponse{GrantId: made.ID, GrantToken: newGrantToken(made.ID)}, nil
}

// ListGrants lists the grants on a key by id; the marker is the last id of the
// page before.
func (s *Service) ListGrants(_ context.Context, c *Call, in *api.ListGrantsRequest) (*api.ListGrantsResponse, *api.Error) {
	switch {
	case in.GranteePrincipal != "" && in.GranteeServicePrincipal != "":
		return nil, api.Errorf(api.Validation, "You can specify GranteePrincipal or GranteeServicePrincipal, but not both.")
	case in.Marker != "" && !isGrantID(in.Marker):
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListGrants.", in.Marker)
	}
	page, more := s.store.Grants(c.key.Region, c.key.ID, in.Marker, orElse(in.Limit, 50), func(g *store.Grant) bool {
		return (in.GrantId == "" || g.ID == in.GrantId) && (in.GranteePrincipal == "" || g.Grantee == in.GranteePrincipal) && in.GranteeServicePrincipal == ""
	})
	out := s.listed(page, more)
	if more {
		out.NextMarker = page[len(page)-1].ID
	}
	return out, nil
}

// ListRetirableGrants lists the grants of the region that a principal may retire
// as their RetiringPrincipal.
func (s *Service) ListRetirableGrants(_ context.Context, c *Call, in *api.ListRetirableGrantsRequest) (*api.ListRetirableGrantsResponse, *api.Error) {
	switch {
	case in.RetiringPrincipal != "" && in.RetiringServicePrincipal != "":
		return nil, api.Errorf(api.Validation, "You must specify RetiringPrincipal or RetiringServicePrincipal, but not both.")
	case in.RetiringPrincipal == "":
		return nil, api.Errorf(api.Validation, "You must specify a RetiringPrincipal. Service principals never call this gateway.")
	}
	if key, id, _ := strings.Cut(in.Marker, "/"); in.Marker != "" && !(isKeyID(key) && isGrantID(id)) {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListRetirableGrants.", in.Marker)
	}
	page, more := s.store.RegionGrants(s.namesFor(c).Region, in.Marker, orElse(in.Limit, 50), func(g *store.Grant) bool {
		return g.RetiringPrincipal == in.RetiringPrincipal
	})
	out := s.listed(page, more)
	if more {
		out.NextMarker = page[len(page)-1].Place()
	}
	return out, nil
}

func (s *Service) listed(grants []*store.Grant, more bool) *api.ListGrantsResponse {
	out := &api.ListGrantsResponse{Grants: make([]api.GrantListEntry, 0, len(grants)), Truncated: more}
	for _, g := range grants {
		e := api.GrantListEntry{
			KeyId: Names{Account: s.names.Account, Region: g.Region}.keyARN(g.KeyID), GrantId: g.ID, Name: g.Name, CreationDate: api.NewTime(g.CreatedAt),
			GranteePrincipal: g.Grantee, RetiringPrincipal: g.RetiringPrincipal, IssuingAccount: "arn:aws:iam::" + s.names.Account + ":root",
		}
		for _, o := range g.Operations {
			e.Operations = append(e.Operations, api.GrantOperation(o))
		}
		if g.EncryptionContextEquals != nil || g.EncryptionContextSubset != nil {
			e.Constraints = &api.GrantConstraints{EncryptionContextEquals: g.EncryptionContextEquals, EncryptionContextSubset: g.EncryptionContextSubset}
		}
		if !g.Expires.IsZero() {
			e.ExpiresAt = api.NewTime(g.Expires)
		}
		if g.UsesLeft != nil {
			uses, left := int(g.Uses), int(*g.UsesLeft)
			e.Uses, e.UsesLeft = &uses, &left
		}
		out.Grants = append(out.Grants, e)
	}
	return out
}

// RevokeGrant ends a grant on behalf of who manages the key.
func (s *Service) RevokeGrant(ctx context.Context, c *Call, in *api.RevokeGrantRequest) (*api.Empty, *api.Error) {
	g, ok := s.store.Grant(in.GrantId)
	switch {
	case !isGrantID(in.GrantId):
		return nil, api.Errorf(api.InvalidGrantId, "%q is not the id of a grant, which has 64 hex digits.", in.GrantId)
	case !ok || g.Region != c.key.Region || g.KeyID != c.key.ID:
		return nil, noSuchGrant(in.GrantId)
	case in.DryRun:
		return nil, dryRun()
	}
	return s.endGrant(ctx, c, g)
}

// RetireGrant ends a grant on behalf of who may retire it.
func (s *Service) RetireGrant(ctx context.Context, c *Call, in *api.RetireGrantRequest) (*api.Empty, *api.Error) {
	switch {
	case c.grant == nil:
		return nil, noSuchGrant(in.GrantId)
	case in.DryRun:
		return nil, dryRun()
	}
	return s.endGrant(ctx, c, c.grant)
}

func noSuchGrant(id string) *api.Error {
	return api.Errorf(api.NotFound, "Grant ID %s not found", id)
}

func (s *Service) endGrant(ctx context.Context, c *Call, g *store.Grant) (*api.Empty, *api.Error) {
	c.record.GrantID, c.record.Grantee, c.record.PermissionChange = g.ID, g.Grantee, true
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	was, cause := s.store.DeleteGrant(ctx, g.ID)
	switch {
	case errors.Is(cause, store.ErrNotFound): // another process was first
		return nil, noSuchGrant(g.ID)
	case cause != nil:
		return nil, internal(c.RequestID, cause)
	}
	c.undoBy(s, func(ctx context.Context) error {
		_, err := s.store.InsertGrant(ctx, was, s.quotas.GrantsPerKey+1, s.owners(g.Grantee)...)
		return err
	})
	return &api.Empty{}, nil
}

// authorizeRetire finds the grant that RetireGrant names, by its token, or by its
// key and id, and decides on it.
func (s *Service) authorizeRetire(c *Call, in *api.RetireGrantRequest) *api.Error {
	byToken := in.GrantToken != ""
	service := question{action: c.op.permission, resource: "*"}
	if byToken == (in.GrantId != "" || in.KeyId != "") || !byToken && (in.GrantId == "" || in.KeyId == "") {
		if denied := s.decide(c, service); denied != nil {
			return denied
		}
		return api.Errorf(api.Validation, "Name the grant by its GrantToken, or by its KeyId and GrantId.")
	}
	if !byToken {
		if g, ok := s.store.Grant(in.GrantId); ok {
			if ref, err := s.namesFor(c).parse(in.KeyId); err == nil && g.Region == ref.region && g.KeyID == ref.id {
				c.grant = g
			}
		}
		return s.authorizeKey(c, in.KeyId, in)
	}
	err := c.badToken
	if err == nil {
		id, _ := grantIDOf(in.GrantToken)
		c.grant, _ = s.store.Grant(id)
		if c.key = s.keyOfGrant(c.grant); c.key == nil {
			c.grant, err = nil, noSuchToken()
		}
	}
	if err != nil {
		if denied := s.decide(c, service); denied != nil {
			return denied
		}
		return err
	}
	q := s.onKey(c, c.key)
	c.record.KeyID, c.record.KeyARN, c.record.Resource = q.id, q.arn, q.arn
	q.resource, q.named = "*", keyRef{}
	return s.decide(c, q)
}

func (s *Service) keyOfGrant(g *store.Grant) *store.Key {
	if g == nil {
		return nil
	}
	k, ok := s.store.Key(g.Region, g.KeyID)
	if !ok {
		return nil
	}
	return k
}
