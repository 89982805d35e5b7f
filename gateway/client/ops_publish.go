package client

import (
	"context"
	"net/http"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// PublishKey lets anybody read the public keys of a key under a name.
func (c *Client) PublishKey(ctx context.Context, in *api.PublishKeyRequest) (*api.Publication, error) {
	return do[api.Publication](ctx, c, http.MethodPut, key(in.KeyId, "/publication"), nil, in)
}

// UnpublishKey ends the publication of a key.
func (c *Client) UnpublishKey(ctx context.Context, in *api.UnpublishKeyRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodDelete, key(in.KeyId, "/publication"), nil, nil)
}

// ListPublications tells which keys are published.
func (c *Client) ListPublications(ctx context.Context, _ *api.ListPublicationsRequest) (*api.ListPublicationsResponse, error) {
	return do[api.ListPublicationsResponse](ctx, c, http.MethodGet, "/v1/publications", nil, nil)
}
