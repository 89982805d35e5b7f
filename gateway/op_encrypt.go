package gateway

import (
	"context"
	"crypto"
	"errors"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// Encrypt encrypts with a symmetric key in the token, or with a public key
// outside it.
func (s *Service) Encrypt(ctx context.Context, c *Call, in *api.EncryptRequest) (*api.EncryptResponse, *api.Error) {
	algorithm, err := s.prepareEncryption(c, in.EncryptionAlgorithm, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, s.tryEncrypt(c, algorithm, len(in.Plaintext))
	}
	ciphertext, v, err := s.encrypt(ctx, c, algorithm, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &api.EncryptResponse{CiphertextBlob: ciphertext, KeyId: c.record.KeyARN, EncryptionAlgorithm: algorithm, KeyVersion: v.Number}, nil
}

// Decrypt decrypts inside the token.
func (s *Service) Decrypt(ctx context.Context, c *Call, in *api.DecryptRequest) (*api.DecryptResponse, *api.Error) {
	algorithm, err := s.prepareEncryption(c, in.EncryptionAlgorithm, in.EncryptionContext)
	if err == nil {
		err = noRecipient(in.Recipient)
	}
	if err != nil {
		return nil, err
	}
	if ignoresCiphertext(in.DryRun, in.DryRunModifiers) {
		return nil, dryRun()
	}
	c.free = in.DryRun
	plaintext, v, err := s.decrypt(ctx, c, algorithm, in.CiphertextBlob, in.EncryptionContext, in.KeyVersion)
	if err == nil && in.DryRun {
		clear(plaintext)
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	return &api.DecryptResponse{KeyId: c.record.KeyARN, Plaintext: plaintext, EncryptionAlgorithm: algorithm,
		KeyMaterialId: shownMaterial(c.key, v), KeyVersion: v.Number}, nil
}

// ReEncrypt decrypts with one key and encrypts with another, or with the newest
// version of the same, without showing the plaintext.
func (s *Service) ReEncrypt(ctx context.Context, c *Call, in *api.ReEncryptRequest) (*api.ReEncryptResponse, *api.Error) {
	from := c.source
	theirs, err := s.prepareEncryption(from, in.SourceEncryptionAlgorithm, in.SourceEncryptionContext)
	if err != nil {
		return nil, err
	}
	ours, err := s.prepareEncryption(c, in.DestinationEncryptionAlgorithm, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	if ignoresCiphertext(in.DryRun, in.DryRunModifiers) {
		return nil, s.tryEncrypt(c, ours, 0)
	}
	c.free = in.DryRun
	plaintext, old, err := s.decrypt(ctx, from, theirs, in.CiphertextBlob, in.SourceEncryptionContext, nil)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	if in.DryRun {
		return nil, s.tryEncrypt(c, ours, len(plaintext))
	}
	ciphertext, v, err := s.encrypt(ctx, c, ours, plaintext, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	return &api.ReEncryptResponse{
		CiphertextBlob: ciphertext, SourceKeyId: from.record.KeyARN, KeyId: c.record.KeyARN,
		SourceEncryptionAlgorithm: theirs, DestinationEncryptionAlgorithm: ours,
		SourceKeyMaterialId: shownMaterial(from.key, old), DestinationKeyMaterialId: shownMaterial(c.key, v),
		SourceKeyVersion: old.Number, KeyVersion: v.Number,
	}, nil
}

// prepareEncryption checks what has to do with a key that encrypts.
func (s *Service) prepareEncryption(c *Call, a api.EncryptionAlgorithm, context map[string]string) (api.EncryptionAlgorithm, *api.Error) {
	if a == "" {
		a = api.SymmetricDefault
	}
	c.record.Algorithm = string(a)
	if err := s.checkUsage(c, c.key, api.EncryptDecrypt); err != nil {
		return a, err
	}
	if err := checkEncryption(c.key, a); err != nil {
		return a, err
	}
	if len(context) > 0 && a != api.SymmetricDefault {
		return a, api.Errorf(api.Validation, "EncryptionContext cannot be bound to a ciphertext of %s. Leave it out.", a)
	}
	return a, nil
}

func noRecipient(r *api.RecipientInfo) *api.Error {
	if r != nil {
		return api.Errorf(api.UnsupportedOperation, "Recipient is not supported: this gateway does not attest enclaves.")
	}
	return nil
}

// ignoresCiphertext says whether a dry run looks at the permissions alone.
func ignoresCiphertext(dryRun bool, modifiers []api.DryRunModifier) bool {
	for _, m := range modifiers {
		if dryRun && m == api.IgnoreCiphertext {
			return true
		}
	}
	return false
}

// shownMaterial is the id of key material, which AWS KMS tells of symmetric keys alone.
func shownMaterial(k *store.Key, v store.Version) string {
	if api.KeySpec(k.Spec) == api.Symmetric {
		return v.MaterialID
	}
	return ""
}

// encrypt encrypts with the current version.
func (s *Service) encrypt(ctx context.Context, c *Call, a api.EncryptionAlgorithm, plaintext []byte, context map[string]string) ([]byte, store.Version, *api.Error) {
	if a == api.SymmetricDefault {
		return s.seal(ctx, c, plaintext, context)
	}
	v, key, err := s.encryptingPair(c, a, len(plaintext))
	if err != nil {
		return nil, v, err
	}
	ciphertext, cause := key.Encrypt(oaepHashes[a], plaintext)
	if cause != nil {
		return nil, v, s.tokenError(c, cause)
	}
	return ciphertext, v, nil
}

// tryEncrypt is the dry run of encrypt.
func (s *Service) tryEncrypt(c *Call, a api.EncryptionAlgorithm, length int) *api.Error {
	v, err := s.current(c)
	switch {
	case err != nil:
	case a != api.SymmetricDefault:
		_, _, err = s.encryptingPair(c, a, length)
	case s.spent(v):
		err = s.wornOut(c)
	}
	if err != nil {
		return err
	}
	return dryRun()
}

// encryptingPair is the current key pair, which has room for so many bytes.
func (s *Service) encryptingPair(c *Call, a api.EncryptionAlgorithm, length int) (store.Version, *hsm.Key, *api.Error) {
	v, err := s.current(c)
	if err != nil {
		return v, nil, err
	}
	key, err := s.pair(c, v)
	if err != nil {
		return v, nil, err
	}
	if room := key.Public().(interface{ Size() int }).Size() - 2*oaepHashes[a].Size() - 2; length > room {
		return v, nil, api.Errorf(api.Validation, "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", a, c.key.Spec, room)
	}
	return v, key, nil
}

// decrypt decrypts in the token: with the version that a symmetric ciphertext
// names, or that the caller names, or else with any that has begun.
func (s *Service) decrypt(ctx context.Context, c *Call, a api.EncryptionAlgorithm, ciphertext []byte, context map[string]string, number *int) ([]byte, store.Version, *api.Error) {
	if a == api.SymmetricDefault {
		return s.open(ctx, c, ciphertext, context, number)
	}
	versions, err := s.candidates(c, number)
	if err != nil {
		return nil, store.Version{}, err
	}
	return s.decryptPair(ctx, c, versions, oaepHashes[a], ciphertext)
}

// decryptPair tries the versions until one decrypts: an OAEP ciphertext does not
// name its key. A wrong key and a changed ciphertext cannot be told apart.
func (s *Service) decryptPair(ctx context.Context, c *Call, versions []store.Version, h crypto.Hash, ciphertext []byte) ([]byte, store.Version, *api.Error) {
	token, err := s.tokenOf(c.key)
	if err != nil {
		return nil, store.Version{}, err
	}
	var failed error // of a version that may be the one
	var cause error
	for _, v := range versions {
		key, err := s.pair(c, v)
		if err == nil {
			err = s.takeUse(ctx, c)
		}
		if err != nil {
			return nil, v, err
		}
		var plaintext []byte
		if plaintext, cause = token.Decrypt(ctx, key, h, ciphertext); cause == nil {
			c.record.KeyVersion = v.Number
			return plaintext, v, nil
		}
		if failed == nil && !errors.Is(cause, hsm.ErrBadCiphertext) {
			failed = cause
		}
		if !anotherMay(cause) {
			break
		}
	}
	if failed != nil {
		cause = failed
	}
	return nil, store.Version{}, s.tokenError(c, cause)
}

// anotherMay says whether another version may do what one did not: it was not the
// one, or its object is not as it should be.
func anotherMay(cause error) bool {
	for _, kind := range []hsm.Kind{hsm.ErrBadCiphertext, hsm.ErrInvalid, hsm.ErrKeyMissing, hsm.ErrUnprotected} {
		if errors.Is(cause, kind) {
			return true
		}
	}
	return false
}
