package gateway

import (
	"context"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// dataKey is a new key for use outside, with what it is encrypted to.
type dataKey struct {
	plaintext, ciphertext []byte
	public                []byte // of a pair
	version               store.Version
}

// GenerateDataKey makes a symmetric key out of the token's random numbers, and
// encrypts it with a key of the token.
func (s *Service) GenerateDataKey(ctx context.Context, c *Call, in *api.GenerateDataKeyRequest) (*api.GenerateDataKeyResponse, *api.Error) {
	if err := noRecipient(in.Recipient); err != nil {
		return nil, err
	}
	made, err := s.dataKey(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &api.GenerateDataKeyResponse{CiphertextBlob: made.ciphertext, Plaintext: made.plaintext, KeyId: c.record.KeyARN,
		KeyMaterialId: made.version.MaterialID, KeyVersion: made.version.Number}, nil
}

// GenerateDataKeyWithoutPlaintext is GenerateDataKey for somebody who is to keep
// the key and not to use it yet.
func (s *Service) GenerateDataKeyWithoutPlaintext(ctx context.Context, c *Call, in *api.GenerateDataKeyWithoutPlaintextRequest) (*api.GenerateDataKeyWithoutPlaintextResponse, *api.Error) {
	made, err := s.dataKey(ctx, c, &api.GenerateDataKeyRequest{
		EncryptionContext: in.EncryptionContext, KeySpec: in.KeySpec, NumberOfBytes: in.NumberOfBytes, DryRun: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	clear(made.plaintext)
	return &api.GenerateDataKeyWithoutPlaintextResponse{CiphertextBlob: made.ciphertext, KeyId: c.record.KeyARN,
		KeyMaterialId: made.version.MaterialID, KeyVersion: made.version.Number}, nil
}

func (s *Service) dataKey(ctx context.Context, c *Call, in *api.GenerateDataKeyRequest) (*dataKey, *api.Error) {
	size, err := dataKeySize(in)
	if err == nil {
		err = s.prepareDataKey(c, in.EncryptionContext)
	}
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, s.tryEncrypt(c, api.SymmetricDefault, size)
	}
	token, err := s.tokenOf(c.key)
	if err != nil {
		return nil, err
	}
	plaintext, cause := token.Random(ctx, size)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return s.sealDataKey(ctx, c, &dataKey{plaintext: plaintext}, in.EncryptionContext)
}

// dataKeySize is the length in bytes, which a request gives in one of two ways.
func dataKeySize(in *api.GenerateDataKeyRequest) (int, *api.Error) {
	switch {
	case (in.NumberOfBytes == nil) == (in.KeySpec == ""):
		return 0, api.Errorf(api.Validation, "Please specify either number of bytes or key spec.")
	case in.NumberOfBytes != nil:
		return *in.NumberOfBytes, nil
	case in.KeySpec == api.AES128:
		return 16, nil
	}
	return 32, nil
}

// prepareDataKey checks what all operations that make data keys have in common.
func (s *Service) prepareDataKey(c *Call, context map[string]string) *api.Error {
	_, err := s.prepareEncryption(c, api.SymmetricDefault, context)
	return err
}

// sealDataKey encrypts what was made, which is cleared where that fails.
func (s *Service) sealDataKey(ctx context.Context, c *Call, made *dataKey, context map[string]string) (*dataKey, *api.Error) {
	var err *api.Error
	if made.ciphertext, made.version, err = s.seal(ctx, c, made.plaintext, context); err != nil {
		clear(made.plaintext)
		return nil, err
	}
	return made, nil
}

// GenerateDataKeyPair makes a key pair for use outside, and encrypts its private
// half with a key of the token. Tokens have no key pairs that may leave them, so
// that the pair is made here.
func (s *Service) GenerateDataKeyPair(ctx context.Context, c *Call, in *api.GenerateDataKeyPairRequest) (*api.GenerateDataKeyPairResponse, *api.Error) {
	if err := noRecipient(in.Recipient); err != nil {
		return nil, err
	}
	made, err := s.dataKeyPair(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &api.GenerateDataKeyPairResponse{
		PrivateKeyCiphertextBlob: made.ciphertext, PrivateKeyPlaintext: made.plaintext, PublicKey: made.public, KeyId: c.record.KeyARN,
		KeyPairSpec: in.KeyPairSpec, KeyMaterialId: made.version.MaterialID, KeyVersion: made.version.Number,
	}, nil
}

// GenerateDataKeyPairWithoutPlaintext is GenerateDataKeyPair for somebody who is
// to give the public half away, and to keep the private one for later.
func (s *Service) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, c *Call, in *api.GenerateDataKeyPairWithoutPlaintextRequest) (*api.GenerateDataKeyPairWithoutPlaintextResponse, *api.Error) {
	made, err := s.dataKeyPair(ctx, c, &api.GenerateDataKeyPairRequest{
		EncryptionContext: in.EncryptionContext, KeyPairSpec: in.KeyPairSpec, DryRun: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	clear(made.plaintext)
	return &api.GenerateDataKeyPairWithoutPlaintextResponse{
		PrivateKeyCiphertextBlob: made.ciphertext, PublicKey: made.public, KeyId: c.record.KeyARN,
		KeyPairSpec: in.KeyPairSpec, KeyMaterialId: made.version.MaterialID, KeyVersion: made.version.Number,
	}, nil
}

func (s *Service) dataKeyPair(ctx context.Context, c *Call, in *api.GenerateDataKeyPairRequest) (*dataKey, *api.Error) {
	if err := s.prepareDataKey(c, in.EncryptionContext); err != nil {
		return nil, err
	}
	if pairMakers[in.KeyPairSpec] == nil {
		return nil, api.Errorf(api.UnsupportedOperation, "KeyPairSpec %s is not supported: it is for China Regions only.", in.KeyPairSpec)
	}
	if in.DryRun {
		return nil, s.tryEncrypt(c, api.SymmetricDefault, 0)
	}
	private, public, err := s.makePair(ctx, c, in.KeyPairSpec)
	if err != nil {
		return nil, err
	}
	return s.sealDataKey(ctx, c, &dataKey{plaintext: private, public: public}, in.EncryptionContext)
}
