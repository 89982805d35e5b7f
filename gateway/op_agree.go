package gateway

import (
	"context"
	"errors"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// DeriveSharedSecret computes the raw ECDH secret with a peer's public key, in
// the token.
func (s *Service) DeriveSharedSecret(ctx context.Context, c *Call, in *api.DeriveSharedSecretRequest) (*api.DeriveSharedSecretResponse, *api.Error) {
	c.record.Algorithm = string(in.KeyAgreementAlgorithm)
	if err := s.prepareSecret(c, api.KeyAgreement, in.Recipient); err != nil {
		return nil, err
	}
	token, key, err := s.currentPair(c)
	if err != nil {
		return nil, err
	}
	if _, bad := hsm.NewKey(hsm.NewID(), hsm.KeySpec(c.key.Spec), in.PublicKey); bad != nil {
		return nil, badPeer(c)
	}
	if in.DryRun {
		return nil, dryRun()
	}
	if err := s.takeUse(ctx, c); err != nil {
		return nil, err
	}
	secret, cause := token.Agree(ctx, key, in.PublicKey)
	switch {
	case errors.Is(cause, hsm.ErrInvalid):
		return nil, badPeer(c)
	case cause != nil:
		return nil, s.tokenError(c, cause)
	}
	return &api.DeriveSharedSecretResponse{KeyId: c.record.KeyARN, SharedSecret: secret, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm,
		KeyOrigin: api.Origin(c.key.Origin), KeyVersion: c.record.KeyVersion}, nil
}

func badPeer(c *Call) *api.Error {
	return api.Errorf(api.Validation, "PublicKey is not a public key on the curve of %s. Send the DER of a SubjectPublicKeyInfo of spec %s.", c.record.KeyARN, c.key.Spec)
}

// Encapsulate makes a secret and its ciphertext with the public key, outside the
// token.
func (s *Service) Encapsulate(_ context.Context, c *Call, in *api.EncapsulateRequest) (*api.EncapsulateResponse, *api.Error) {
	c.record.Algorithm = string(in.EncapsulationAlgorithm)
	if err := s.prepareSecret(c, api.EncapsulateDecapsulate, nil); err != nil {
		return nil, err
	}
	v, err := s.current(c)
	if err != nil {
		return nil, err
	}
	key, err := s.pair(c, v)
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	ciphertext, secret, cause := key.Encapsulate()
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return &api.EncapsulateResponse{KeyId: c.record.KeyARN, SharedSecret: secret, SharedSecretCiphertextBlob: ciphertext,
		EncapsulationAlgorithm: in.EncapsulationAlgorithm, KeyVersion: v.Number}, nil
}

// Decapsulate recovers the secret of a ciphertext in the token. A ciphertext that
// was changed gives another secret and no error (FIPS 203), so that only one
// version can be tried: the one that is named, or the current one.
func (s *Service) Decapsulate(ctx context.Context, c *Call, in *api.DecapsulateRequest) (*api.DecapsulateResponse, *api.Error) {
	c.record.Algorithm = string(in.EncapsulationAlgorithm)
	if err := s.prepareSecret(c, api.EncapsulateDecapsulate, nil); err != nil {
		return nil, err
	}
	v, err := s.published(c, in.KeyVersion)
	if err != nil {
		return nil, err
	}
	token, err := s.tokenOf(c.key)
	if err != nil {
		return nil, err
	}
	key, err := s.pair(c, v)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		if cause := token.Supports(hsm.KeySpec(c.key.Spec), hsm.UseDecapsulate); cause != nil {
			return nil, s.tokenError(c, cause)
		}
		return nil, dryRun()
	}
	if err := s.takeUse(ctx, c); err != nil {
		return nil, err
	}
	secret, cause := token.Decapsulate(ctx, key, in.SharedSecretCiphertextBlob)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return &api.DecapsulateResponse{KeyId: c.record.KeyARN, SharedSecret: secret, EncapsulationAlgorithm: in.EncapsulationAlgorithm, KeyVersion: v.Number}, nil
}

// prepareSecret checks what the operations that give out a shared secret have in
// common.
func (s *Service) prepareSecret(c *Call, usage api.KeyUsage, recipient *api.RecipientInfo) *api.Error {
	if err := s.checkUsage(c, c.key, usage); err != nil {
		return err
	}
	return noRecipient(recipient)
}
