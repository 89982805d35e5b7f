package gateway

import "github.com/hsmgate/hsmgate/gateway/api"

// authorize resolves the keys that the request is about and asks the policy. A
// key that does not exist and one that the caller may not see answer alike.
func (s *Service) authorize(c *Call, in any) *api.Error {
	c.in = in
	if err := c.bySignature(); err != nil || c.op.open {
		return err
	}
	if arn := s.aboutCaller(c, in); arn != "" {
		c.record.Resource = arn
		return s.decide(c, question{action: c.op.permission, arn: arn, resource: arn})
	}
	if retire, ok := in.(*api.RetireGrantRequest); ok {
		return s.authorizeRetire(c, retire)
	}
	if batch, ok := in.(*api.SignBatchRequest); ok {
		return s.authorizeBatch(c, batch)
	}
	if receipt, ok := in.(*api.GetReceiptRequest); ok {
		return s.authorizeReceipt(c, receipt)
	}
	target, aboutKey := in.(interface{ KeyRef() string })
	if !aboutKey {
		return s.decide(c, question{action: c.op.permission, resource: "*"})
	}
	if two, ok := in.(interface{ SourceRef() string }); ok {
		if err := s.authorizeSource(c, two.SourceRef(), in); err != nil {
			return err
		}
	}
	return s.authorizeKey(c, target.KeyRef(), in)
}

// bySignature denies a call that is signed with an access key what AWS KMS does not have and what changes something:
// approvals and their rules, publications, and access keys. Whoever may make an access key of another, or a session of a
// role, has no vote of that other one, and tells strangers nothing in that one's name.
func (c *Call) bySignature() *api.Error {
	if c.AccessKey == "" || !c.op.beyondKMS || !c.op.changes {
		return nil
	}
	c.record.Reason = "access-key"
	return api.Errorf(api.AccessDenied, "%s takes no access key, and neither does any other call that changes approvals, publications or access keys: send a bearer token or a client certificate.", c.op.Name)
}

// aboutCaller is the ARN of the role or the user that a request is about; "" where
// it is about neither.
func (s *Service) aboutCaller(c *Call, in any) string {
	switch in := in.(type) {
	case interface{ RoleRef() string }:
		return in.RoleRef()
	case interface{ User() string }:
		return s.userOf(c, in.User())
	}
	return ""
}

// authorizeKey resolves and decides on one key.
func (s *Service) authorizeKey(c *Call, reference string, in any) *api.Error {
	if sealed, ok := in.(sealedRequest); ok && reference == "" {
		return s.authorizeNamed(c, sealed)
	}
	names := s.namesFor(c)
	ref, err := names.parse(reference)
	if err == nil && ref.alias != "" && !c.op.byAlias {
		err = notByAlias(reference, in)
	}
	if err != nil {
		if denied := s.decide(c, question{action: c.op.permission, resource: reference}); denied != nil {
			return denied
		}
		return err
	}
	c.record.Resource = ref.arn
	if named, ok := in.(interface{ Alias() string }); ok {
		c.record.Resource = names.aliasARN(named.Alias())
		if err := s.decideAlias(c, in, names); err != nil { // AWS KMS asks for the permission on both
			return err
		}
	}
	return s.decideOn(c, ref, ref.missing)
}

// decideOn asks the policy about the key that a reference names, whether it is
// there or not, and then looks at the key's state.
func (s *Service) decideOn(c *Call, ref keyRef, missing func() *api.Error) *api.Error {
	q := question{action: c.op.permission, id: ref.id, arn: ref.arn, resource: ref.arn, named: ref}
	c.alias = ref.alias
	if c.key = s.resolve(ref); c.key != nil {
		q.key, q.id = c.key, c.key.ID
		if ref.alias != "" {
			q.arn = s.namesFor(c).keyARN(q.id)
		}
		c.record.KeyID, c.record.KeyARN = q.id, q.arn
	}
	if denied := s.decide(c, q); denied != nil {
		return denied
	}
	if c.key == nil {
		return missing()
	}
	return c.op.States.check(c.record.KeyARN, s.keyState(c.key))
}
