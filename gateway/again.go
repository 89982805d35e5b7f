package gateway

import "github.com/hsmgate/hsmgate/gateway/api"

// again decides anew on a call whose body took its time to come: meanwhile the
// credential may have been revoked, or the key disabled or taken away.
func (s *Service) again(c *Call) *api.Error {
	if err := s.able(c.op.reads); err != nil {
		return err
	}
	if c.Renew != nil {
		p, err := c.Renew()
		if err != nil {
			return err
		}
		c.Principal = p
	}
	return s.decideAnew(c)
}

// decideAnew decides once more on the key that a call was allowed to use.
func (s *Service) decideAnew(c *Call) *api.Error {
	q := s.onKey(c, c.key)
	now, ok := s.store.Key(c.key.Region, c.key.ID)
	q.key, q.named.alias = now, c.alias
	if denied := s.decide(c, q); denied != nil {
		return denied
	}
	if !ok {
		return keyRef{arn: c.record.KeyARN}.missing()
	}
	c.key = now
	return c.op.States.check(c.record.KeyARN, s.keyState(c.key))
}
