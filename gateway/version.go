package gateway

import (
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// A key is a line of versions. What makes something new (Sign, Encrypt, a MAC)
// uses the current one; what looks at something that was made (Verify, Decrypt)
// takes the one that is named, or tries all that have begun, the newest first.

// current is the version in use now, which the record names.
func (s *Service) current(c *Call) (store.Version, *api.Error) {
	v, ok := c.key.Current(s.now())
	if !ok {
		return v, s.noMaterial(c)
	}
	c.record.KeyVersion = v.Number
	return v, nil
}

// candidates are the versions that may have made what a call brings.
func (s *Service) candidates(c *Call, number *int) ([]store.Version, *api.Error) {
	if number != nil {
		v, err := s.numbered(c, *number)
		return []store.Version{v}, err
	}
	var begun []store.Version
	for _, v := range slices.Backward(c.key.Versions) {
		if v.Usable(s.now()) && !v.CurrentAt.IsZero() && !v.CurrentAt.After(s.now()) {
			begun = append(begun, v)
		}
	}
	if len(begun) == 0 {
		return nil, s.noMaterial(c)
	}
	c.record.KeyVersion = begun[0].Number
	return begun, nil
}

// published is the version whose public key a caller asks for: the one that is
// named, which may be announced only, or the current one.
func (s *Service) published(c *Call, number *int) (store.Version, *api.Error) {
	if number != nil {
		return s.numbered(c, *number)
	}
	return s.current(c)
}

// numbered is the version that a caller names, begun or only announced.
func (s *Service) numbered(c *Call, number int) (store.Version, *api.Error) {
	v, ok := c.key.Version(number)
	if !ok || !v.Usable(s.now()) {
		return v, api.Errorf(api.NotFound, "%s has no version %d. ListKeyRotations lists its versions.", c.record.KeyARN, number)
	}
	c.record.KeyVersion = number
	return v, nil
}

func (s *Service) noMaterial(c *Call) *api.Error {
	return api.Errorf(api.KMSInvalidState, "%s is pending import.", c.record.KeyARN)
}

// tokenOf is the token that holds a key.
func (s *Service) tokenOf(k *store.Key) (*hsm.Token, *api.Error) {
	if k.Token == "" {
		return s.token, nil
	}
	ks, ok := s.keyStores[k.Token]
	switch {
	case !ok:
		return nil, &api.Error{Code: api.KeyUnavailable, Message: "The configuration names no token " + k.Token + ", which holds this key."}
	case s.store.Disconnected(k.Token):
		return nil, api.Errorf(api.KMSInvalidState, "%s is unavailable. Its custom key store is disconnected.", s.arn(k))
	}
	if t := ks.token.Load(); t != nil {
		return t, nil
	}
	return nil, &api.Error{Code: api.KeyUnavailable, RetryAfter: time.Second,
		Message: "The token " + k.Token + ", which holds the key, is away. Try again."}
}

// pair is the token's key pair of a version. There is one for each version, since
// it caches the handle.
func (s *Service) pair(c *Call, v store.Version) (*hsm.Key, *api.Error) {
	if key, ok := s.keys.Load(string(v.ObjectID)); ok {
		return key.(*hsm.Key), nil
	}
	key, err := hsm.NewKey(v.ObjectID, hsm.KeySpec(c.key.Spec), v.PublicKey)
	if err != nil {
		return nil, internal(c.RequestID, err)
	}
	kept, _ := s.keys.LoadOrStore(string(v.ObjectID), key)
	return kept.(*hsm.Key), nil
}

// currentPair is the key pair in use now with the token that holds it.
func (s *Service) currentPair(c *Call) (*hsm.Token, *hsm.Key, *api.Error) {
	v, err := s.current(c)
	if err != nil {
		return nil, nil, err
	}
	token, err := s.tokenOf(c.key)
	if err != nil {
		return nil, nil, err
	}
	key, err := s.pair(c, v)
	return token, key, err
}
