package gateway

import (
	"context"
	"crypto"
	"errors"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// Encrypt encrypts with the public key, outside the token.
func (s *Service) Encrypt(_ context.Context, c *Call, in *api.EncryptRequest) (*api.EncryptResponse, *api.Error) {
	algorithm, err := s.prepareEncryption(c, in.EncryptionAlgorithm, in.EncryptionContext, in.GrantTokens)
	if err != nil {
		return nil, err
	}
	_, key, err := s.currentPair(c)
	if err != nil {
		return nil, err
	}
	hash := oaepHashes[algorithm]
	if room := key.Public().(interface{ Size() int }).Size() - 2*hash.Size() - 2; len(in.Plaintext) > room {
		return nil, api.Errorf(api.Validation, "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", algorithm, c.key.Spec, room)
	}
	if in.DryRun {
		return nil, dryRun()
	}
	ciphertext, cause := key.Encrypt(hash, in.Plaintext)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return &api.EncryptResponse{CiphertextBlob: ciphertext, KeyId: c.record.KeyARN, EncryptionAlgorithm: algorithm, KeyVersion: c.record.KeyVersion}, nil
}

// Decrypt decrypts inside the token.
func (s *Service) Decrypt(ctx context.Context, c *Call, in *api.DecryptRequest) (*api.DecryptResponse, *api.Error) {
	algorithm, err := s.prepareEncryption(c, in.EncryptionAlgorithm, in.EncryptionContext, in.GrantTokens)
	if err != nil {
		return nil, err
	}
	if in.Recipient != nil {
		return nil, api.Errorf(api.UnsupportedOperation, "Recipient is not supported: this gateway does not attest enclaves.")
	}
	versions, err := s.candidates(c, in.KeyVersion)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	plaintext, err := s.decryptPair(ctx, c, versions, oaepHashes[algorithm], in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	return &api.DecryptResponse{KeyId: c.record.KeyARN, Plaintext: plaintext, EncryptionAlgorithm: algorithm, KeyVersion: c.record.KeyVersion}, nil
}

// decryptPair tries the versions until one decrypts: an OAEP ciphertext does not
// name its key. A wrong key and a changed ciphertext cannot be told apart.
func (s *Service) decryptPair(ctx context.Context, c *Call, versions []store.Version, h crypto.Hash, ciphertext []byte) ([]byte, *api.Error) {
	token, err := s.tokenOf(c.key)
	if err != nil {
		return nil, err
	}
	var cause error
	for _, v := range versions {
		key, err := s.pair(c, v)
		if err != nil {
			return nil, err
		}
		var plaintext []byte
		if plaintext, cause = token.Decrypt(ctx, key, h, ciphertext); cause == nil {
			c.record.KeyVersion = v.Number
			return plaintext, nil
		}
		if !errors.Is(cause, hsm.ErrBadCiphertext) {
			break
		}
	}
	return nil, s.tokenError(c, cause)
}

// prepareEncryption checks what Encrypt and Decrypt have in common.
func (s *Service) prepareEncryption(c *Call, a api.EncryptionAlgorithm, context map[string]string, grants []string) (api.EncryptionAlgorithm, *api.Error) {
	if a == "" {
		a = api.SymmetricDefault
	}
	c.record.Algorithm = string(a)
	if err := noGrants(grants); err != nil {
		return a, err
	}
	if err := s.checkUsage(c, c.key, api.EncryptDecrypt); err != nil {
		return a, err
	}
	if err := checkEncryption(c.key, a); err != nil {
		return a, err
	}
	if len(context) > 0 {
		return a, api.Errorf(api.Validation, "EncryptionContext cannot be bound to a ciphertext of %s. Leave it out.", a)
	}
	return a, nil
}
