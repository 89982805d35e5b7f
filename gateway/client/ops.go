package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// key makes the path of an operation on a key. An empty reference and dots would
// change the path, so they are made what no key is called.
func key(ref, verb string) string { return "/v1/keys/" + segment(ref) + verb }

func alias(name string) string { return "/v1/aliases/" + segment(name) }

func segment(s string) string {
	switch s {
	case "", ".", "..":
		return url.PathEscape(strconv.Quote(s))
	}
	return url.PathEscape(s)
}

// page makes the query of a list.
func page(limit *int, marker string) url.Values {
	q := url.Values{}
	if limit != nil {
		q.Set("Limit", strconv.Itoa(*limit))
	}
	if marker != "" {
		q.Set("Marker", marker)
	}
	return q
}

func aliasPage(in *api.ListAliasesRequest) url.Values {
	q := page(in.Limit, in.Marker)
	if in.KeyId != "" {
		q.Set("KeyId", in.KeyId)
	}
	return q
}

// CreateKey makes a key pair inside the token.
func (c *Client) CreateKey(ctx context.Context, in *api.CreateKeyRequest) (*api.CreateKeyResponse, error) {
	return do[api.CreateKeyResponse](ctx, c, http.MethodPost, "/v1/keys", nil, in)
}

// ListKeys lists a page of keys, by id.
func (c *Client) ListKeys(ctx context.Context, in *api.ListKeysRequest) (*api.ListKeysResponse, error) {
	return do[api.ListKeysResponse](ctx, c, http.MethodGet, "/v1/keys", page(in.Limit, in.Marker), nil)
}

// DescribeKey describes a key.
func (c *Client) DescribeKey(ctx context.Context, in *api.DescribeKeyRequest) (*api.DescribeKeyResponse, error) {
	return do[api.DescribeKeyResponse](ctx, c, http.MethodGet, key(in.KeyId, ""), nil, nil)
}

// GetPublicKey gives a public key as a DER SubjectPublicKeyInfo.
func (c *Client) GetPublicKey(ctx context.Context, in *api.GetPublicKeyRequest) (*api.GetPublicKeyResponse, error) {
	return do[api.GetPublicKeyResponse](ctx, c, http.MethodGet, key(in.KeyId, "/public-key"), nil, nil)
}

// Sign signs a message of at most 4096 bytes, or a digest. See SignFile.
func (c *Client) Sign(ctx context.Context, in *api.SignRequest) (*api.SignResponse, error) {
	return do[api.SignResponse](ctx, c, http.MethodPost, key(in.KeyId, "/sign"), nil, in)
}

// Verify checks a signature. A bad one is an error with the code
// api.KMSInvalidSignature. See VerifyFile.
func (c *Client) Verify(ctx context.Context, in *api.VerifyRequest) (*api.VerifyResponse, error) {
	return do[api.VerifyResponse](ctx, c, http.MethodPost, key(in.KeyId, "/verify"), nil, in)
}

// Encrypt encrypts with a public key.
func (c *Client) Encrypt(ctx context.Context, in *api.EncryptRequest) (*api.EncryptResponse, error) {
	return do[api.EncryptResponse](ctx, c, http.MethodPost, key(in.KeyId, "/encrypt"), nil, in)
}

// Decrypt decrypts inside the token.
func (c *Client) Decrypt(ctx context.Context, in *api.DecryptRequest) (*api.DecryptResponse, error) {
	return do[api.DecryptResponse](ctx, c, http.MethodPost, key(in.KeyId, "/decrypt"), nil, in)
}

// EnableKey makes a disabled key usable.
func (c *Client) EnableKey(ctx context.Context, in *api.EnableKeyRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/enable"), nil, in)
}

// DisableKey makes a key unusable until it is enabled.
func (c *Client) DisableKey(ctx context.Context, in *api.DisableKeyRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/disable"), nil, in)
}

// ScheduleKeyDeletion starts the waiting period before a key is destroyed.
func (c *Client) ScheduleKeyDeletion(ctx context.Context, in *api.ScheduleKeyDeletionRequest) (*api.ScheduleKeyDeletionResponse, error) {
	return do[api.ScheduleKeyDeletionResponse](ctx, c, http.MethodPost, key(in.KeyId, "/schedule-deletion"), nil, in)
}

// CancelKeyDeletion keeps a key that waits for its destruction, disabled.
func (c *Client) CancelKeyDeletion(ctx context.Context, in *api.CancelKeyDeletionRequest) (*api.CancelKeyDeletionResponse, error) {
	return do[api.CancelKeyDeletionResponse](ctx, c, http.MethodPost, key(in.KeyId, "/cancel-deletion"), nil, in)
}

// CreateAlias gives a key a name.
func (c *Client) CreateAlias(ctx context.Context, in *api.CreateAliasRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/aliases", nil, in)
}

// UpdateAlias points a name at another key.
func (c *Client) UpdateAlias(ctx context.Context, in *api.UpdateAliasRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPut, alias(in.AliasName), nil, in)
}

// DeleteAlias removes a name; the key stays.
func (c *Client) DeleteAlias(ctx context.Context, in *api.DeleteAliasRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodDelete, alias(in.AliasName), nil, nil)
}

// ListAliases lists a page of aliases, by name.
func (c *Client) ListAliases(ctx context.Context, in *api.ListAliasesRequest) (*api.ListAliasesResponse, error) {
	return do[api.ListAliasesResponse](ctx, c, http.MethodGet, "/v1/aliases", aliasPage(in), nil)
}

// PublicKeyAs gives a public key in another form, by its media type:
// application/x-pem-file, application/octet-stream (DER), application/jwk+json
// or text/x-ssh-public-key.
func (c *Client) PublicKeyAs(ctx context.Context, ref, mediaType string) ([]byte, error) {
	return c.send(ctx, request{method: http.MethodGet, path: key(ref, "/public-key"), accept: mediaType})
}
