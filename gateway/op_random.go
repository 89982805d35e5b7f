package gateway

import (
	"context"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// GenerateRandom gives random bytes of the token's generator.
func (s *Service) GenerateRandom(ctx context.Context, c *Call, in *api.GenerateRandomRequest) (*api.GenerateRandomResponse, *api.Error) {
	if in.NumberOfBytes == nil {
		return nil, api.Errorf(api.Validation, "NumberOfBytes is required.")
	}
	if err := noRecipient(in.Recipient); err != nil {
		return nil, err
	}
	if in.CustomKeyStoreId != "" {
		return nil, api.Errorf(api.CustomKeyStoreNotFound, "There is no custom key store %q.", in.CustomKeyStoreId)
	}
	bytes, cause := s.token.Random(ctx, *in.NumberOfBytes)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return &api.GenerateRandomResponse{Plaintext: bytes}, nil
}
