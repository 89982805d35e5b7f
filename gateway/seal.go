package gateway

import (
	"context"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// secret is the token's secret key of a version with the token. There is one for
// each version, since it caches the handle.
func (s *Service) secret(c *Call, v store.Version) (*hsm.Token, *hsm.Secret, *api.Error) {
	token, err := s.tokenOf(c.key)
	if err != nil {
		return nil, nil, err
	}
	if key, ok := s.keys.Load(string(v.ObjectID)); ok {
		return token, key.(*hsm.Secret), nil
	}
	key, cause := hsm.NewSecret(v.ObjectID, hsm.KeySpec(c.key.Spec), v.Check)
	if cause != nil {
		return nil, nil, internal(c.RequestID, cause)
	}
	kept, _ := s.keys.LoadOrStore(string(v.ObjectID), key)
	return token, kept.(*hsm.Secret), nil
}

// seal encrypts with the current version of a symmetric key, in the token.
func (s *Service) seal(ctx context.Context, c *Call, plaintext []byte, context map[string]string) ([]byte, store.Version, *api.Error) {
	v, err := s.current(c)
	if err != nil {
		return nil, v, err
	}
	token, key, err := s.secret(c, v)
	if err == nil {
		err = s.use(ctx, c, v)
	}
	if err == nil {
		err = s.takeUse(ctx, c)
	}
	if err != nil {
		return nil, v, err
	}
	iv, sealed, cause := token.EncryptGCM(ctx, key, plaintext, additional(c.key.ID, v.Number, context))
	if cause != nil {
		return nil, v, s.tokenError(c, cause)
	}
	e := envelope{keyID: c.key.ID, version: v.Number, iv: iv, sealed: sealed}
	return e.encode(), v, nil
}

// open decrypts with the version that the ciphertext names, in the token. A
// version that the caller names, and a key, have to be the ciphertext's.
func (s *Service) open(ctx context.Context, c *Call, ciphertext []byte, context map[string]string, number *int) ([]byte, store.Version, *api.Error) {
	e, ok := parseCiphertext(ciphertext)
	if !ok {
		return nil, store.Version{}, badCiphertext()
	}
	if e.keyID != c.key.ID || number != nil && *number != e.version {
		return nil, store.Version{}, api.Errorf(api.IncorrectKey, "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	v, ok := c.key.Version(e.version)
	switch {
	case !ok:
		return nil, v, badCiphertext()
	case !v.Usable(s.now()):
		return nil, v, s.noMaterial(c)
	}
	c.record.KeyVersion = v.Number
	token, key, err := s.secret(c, v)
	if err == nil {
		err = s.takeUse(ctx, c)
	}
	if err != nil {
		return nil, v, err
	}
	plaintext, cause := token.DecryptGCM(ctx, key, e.iv, e.sealed, additional(e.keyID, e.version, context))
	if cause != nil {
		return nil, v, s.tokenError(c, cause)
	}
	return plaintext, v, nil
}
