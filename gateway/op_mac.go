package gateway

import (
	"context"
	"errors"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// GenerateMac computes an HMAC in the token.
func (s *Service) GenerateMac(ctx context.Context, c *Call, in *api.GenerateMacRequest) (*api.GenerateMacResponse, *api.Error) {
	if err := s.prepareMac(c, in.MacAlgorithm, in.Message); err != nil {
		return nil, err
	}
	v, err := s.current(c)
	if err != nil {
		return nil, err
	}
	token, key, err := s.secret(c, v)
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err == nil {
		err = s.takeUse(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	mac, cause := token.MAC(ctx, key, in.Message)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return &api.GenerateMacResponse{Mac: mac, MacAlgorithm: in.MacAlgorithm, KeyId: c.record.KeyARN, KeyVersion: v.Number}, nil
}

// VerifyMac computes an HMAC again in the token and compares it. A bad one is an
// error, as in AWS KMS: false is never answered.
func (s *Service) VerifyMac(ctx context.Context, c *Call, in *api.VerifyMacRequest) (*api.VerifyMacResponse, *api.Error) {
	if err := s.prepareMac(c, in.MacAlgorithm, in.Message); err != nil {
		return nil, err
	}
	versions, err := s.candidates(c, in.KeyVersion)
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	var failed error // of a version that may be the one
	for _, v := range versions {
		token, key, err := s.secret(c, v)
		if err == nil {
			err = s.takeUse(ctx, c)
		}
		if err != nil {
			return nil, err
		}
		cause := token.VerifyMAC(ctx, key, in.Message, in.Mac)
		if cause == nil {
			c.record.KeyVersion = v.Number
			return &api.VerifyMacResponse{KeyId: c.record.KeyARN, MacValid: true, MacAlgorithm: in.MacAlgorithm, KeyVersion: v.Number}, nil
		}
		if failed == nil && !errors.Is(cause, hsm.ErrInvalid) {
			failed = cause
		}
		if !anotherMay(cause) {
			break
		}
	}
	if failed != nil {
		return nil, s.tokenError(c, failed)
	}
	return nil, api.Errorf(api.KMSInvalidMac, "The MAC was not made by %s with %s over this message.", c.record.KeyARN, in.MacAlgorithm)
}

// prepareMac checks what both have in common.
func (s *Service) prepareMac(c *Call, a api.MacAlgorithm, message []byte) *api.Error {
	c.record.Algorithm = string(a)
	if err := s.checkUsage(c, c.key, api.GenerateVerifyMac); err != nil {
		return err
	}
	if macAlgorithms[api.KeySpec(c.key.Spec)] != a {
		return incompatible(string(a), c.key.Spec)
	}
	if hsm.ReservedForKeys(hsm.KeySpec(c.key.Spec), message) {
		return api.Errorf(api.Validation, "Message begins like what the gateway derives the keys of symmetric ciphertexts from: no HMAC_256 key computes a MAC of that. Put something else in front.")
	}
	return nil
}
