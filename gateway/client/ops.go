package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
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

// query holds the members of a request that are there, but for those in its path.
func query(in any, inPath ...string) url.Values {
	q := url.Values{}
	v := reflect.ValueOf(in).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		field := v.FieldByIndex(f.Index)
		if f.Anonymous || field.IsZero() || slices.Contains(inPath, f.Name) {
			continue
		}
		switch field = reflect.Indirect(field); field.Kind() {
		case reflect.Slice:
			for i := range field.Len() {
				q.Add(f.Name, fmt.Sprint(field.Index(i)))
			}
		default:
			q.Set(f.Name, fmt.Sprint(field))
		}
	}
	return q
}

// ExplainAccess says how a call would be decided.
func (c *Client) ExplainAccess(ctx context.Context, in *api.ExplainAccessRequest) (*api.ExplainAccessResponse, error) {
	return do[api.ExplainAccessResponse](ctx, c, http.MethodPost, "/v1/explain-access", nil, in)
}

// GetUsage counts the calls of the last hours.
func (c *Client) GetUsage(ctx context.Context, in *api.GetUsageRequest) (*api.GetUsageResponse, error) {
	return do[api.GetUsageResponse](ctx, c, http.MethodGet, "/v1/usage", query(in), nil)
}

// CreateKey makes a key inside the token.
func (c *Client) CreateKey(ctx context.Context, in *api.CreateKeyRequest) (*api.CreateKeyResponse, error) {
	return do[api.CreateKeyResponse](ctx, c, http.MethodPost, "/v1/keys", nil, in)
}

// ListKeys lists a page of keys, by id.
func (c *Client) ListKeys(ctx context.Context, in *api.ListKeysRequest) (*api.ListKeysResponse, error) {
	return do[api.ListKeysResponse](ctx, c, http.MethodGet, "/v1/keys", query(in), nil)
}

// DescribeKey describes a key.
func (c *Client) DescribeKey(ctx context.Context, in *api.DescribeKeyRequest) (*api.DescribeKeyResponse, error) {
	return do[api.DescribeKeyResponse](ctx, c, http.MethodGet, key(in.KeyId, ""), query(in, "KeyId"), nil)
}

// GetPublicKey gives a public key as a DER SubjectPublicKeyInfo.
func (c *Client) GetPublicKey(ctx context.Context, in *api.GetPublicKeyRequest) (*api.GetPublicKeyResponse, error) {
	return do[api.GetPublicKeyResponse](ctx, c, http.MethodGet, key(in.KeyId, "/public-key"), query(in, "KeyId"), nil)
}

// Sign signs a message of at most 4096 bytes, or a digest. See SignFile. It is tried
// again under an idempotency key, that of the request or a new one.
func (c *Client) Sign(ctx context.Context, in *api.SignRequest) (*api.SignResponse, error) {
	if in.IdempotencyKey == "" && c.attempts() > 1 {
		once := *in
		once.IdempotencyKey = rand.Text()
		in = &once
	}
	if c.Together && !in.Receipt {
		return c.together.sign(ctx, c, in)
	}
	return c.signAlone(ctx, in, false)
}

// signAlone asks for one signature in a request of its own, and once if the caller tries again.
func (c *Client) signAlone(ctx context.Context, in *api.SignRequest, once bool) (*api.SignResponse, error) {
	r := post(key(in.KeyId, "/sign"), in.IdempotencyKey != "")
	var record string
	r.record, r.once = &record, once
	out, err := call[api.SignResponse](ctx, c, r, in)
	if err == nil {
		out.AuditRecord = record
	}
	return out, err
}

// SignBatch signs up to 1,000 messages or digests with one key. The answer has a result or
// an error for each; an error is that of all of them.
func (c *Client) SignBatch(ctx context.Context, in *api.SignBatchRequest) (*api.SignBatchResponse, error) {
	if c.attempts() > 1 {
		once := *in
		once.Items = slices.Clone(in.Items)
		for i := range once.Items {
			if once.Items[i].IdempotencyKey == "" {
				once.Items[i].IdempotencyKey = rand.Text()
			}
		}
		in = &once
	}
	return call[api.SignBatchResponse](ctx, c, post(key(in.KeyId, "/sign-batch"), c.attempts() > 1), in)
}

func post(path string, repeatable bool) request {
	return request{method: http.MethodPost, path: path, accept: "application/json", repeatable: repeatable}
}

// Verify checks a signature. A bad one is an error with the code
// api.KMSInvalidSignature. See VerifyFile.
func (c *Client) Verify(ctx context.Context, in *api.VerifyRequest) (*api.VerifyResponse, error) {
	return do[api.VerifyResponse](ctx, c, http.MethodPost, key(in.KeyId, "/verify"), nil, in)
}

// Encrypt encrypts with a symmetric or a public key.
func (c *Client) Encrypt(ctx context.Context, in *api.EncryptRequest) (*api.EncryptResponse, error) {
	return do[api.EncryptResponse](ctx, c, http.MethodPost, key(in.KeyId, "/encrypt"), nil, in)
}

// Decrypt decrypts inside the token. A symmetric ciphertext names its key.
func (c *Client) Decrypt(ctx context.Context, in *api.DecryptRequest) (*api.DecryptResponse, error) {
	path := "/v1/decrypt"
	if in.KeyId != "" {
		path = key(in.KeyId, "/decrypt")
	}
	return do[api.DecryptResponse](ctx, c, http.MethodPost, path, nil, in)
}

// ReEncrypt decrypts and encrypts anew without showing the plaintext.
func (c *Client) ReEncrypt(ctx context.Context, in *api.ReEncryptRequest) (*api.ReEncryptResponse, error) {
	return do[api.ReEncryptResponse](ctx, c, http.MethodPost, "/v1/re-encrypt", nil, in)
}

// GenerateDataKey makes a symmetric key, plain and encrypted.
func (c *Client) GenerateDataKey(ctx context.Context, in *api.GenerateDataKeyRequest) (*api.GenerateDataKeyResponse, error) {
	return do[api.GenerateDataKeyResponse](ctx, c, http.MethodPost, key(in.KeyId, "/generate-data-key"), nil, in)
}

// GenerateDataKeyWithoutPlaintext makes a symmetric key, encrypted.
func (c *Client) GenerateDataKeyWithoutPlaintext(ctx context.Context, in *api.GenerateDataKeyWithoutPlaintextRequest) (*api.GenerateDataKeyWithoutPlaintextResponse, error) {
	return do[api.GenerateDataKeyWithoutPlaintextResponse](ctx, c, http.MethodPost, key(in.KeyId, "/generate-data-key-without-plaintext"), nil, in)
}

// GenerateDataKeyPair makes a key pair, its private half plain and encrypted.
func (c *Client) GenerateDataKeyPair(ctx context.Context, in *api.GenerateDataKeyPairRequest) (*api.GenerateDataKeyPairResponse, error) {
	return do[api.GenerateDataKeyPairResponse](ctx, c, http.MethodPost, key(in.KeyId, "/generate-data-key-pair"), nil, in)
}

// GenerateDataKeyPairWithoutPlaintext makes a key pair, its private half encrypted.
func (c *Client) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, in *api.GenerateDataKeyPairWithoutPlaintextRequest) (*api.GenerateDataKeyPairWithoutPlaintextResponse, error) {
	return do[api.GenerateDataKeyPairWithoutPlaintextResponse](ctx, c, http.MethodPost, key(in.KeyId, "/generate-data-key-pair-without-plaintext"), nil, in)
}

// GenerateMac makes a MAC over a message.
func (c *Client) GenerateMac(ctx context.Context, in *api.GenerateMacRequest) (*api.GenerateMacResponse, error) {
	return do[api.GenerateMacResponse](ctx, c, http.MethodPost, key(in.KeyId, "/generate-mac"), nil, in)
}

// VerifyMac checks a MAC. A bad one is an error with the code
// api.KMSInvalidMac.
func (c *Client) VerifyMac(ctx context.Context, in *api.VerifyMacRequest) (*api.VerifyMacResponse, error) {
	return do[api.VerifyMacResponse](ctx, c, http.MethodPost, key(in.KeyId, "/verify-mac"), nil, in)
}

// DeriveSharedSecret gives the secret shared with a public key.
func (c *Client) DeriveSharedSecret(ctx context.Context, in *api.DeriveSharedSecretRequest) (*api.DeriveSharedSecretResponse, error) {
	return do[api.DeriveSharedSecretResponse](ctx, c, http.MethodPost, key(in.KeyId, "/derive-shared-secret"), nil, in)
}

// Encapsulate makes a secret and its ciphertext under a public key.
func (c *Client) Encapsulate(ctx context.Context, in *api.EncapsulateRequest) (*api.EncapsulateResponse, error) {
	return do[api.EncapsulateResponse](ctx, c, http.MethodPost, key(in.KeyId, "/encapsulate"), nil, in)
}

// Decapsulate gives the secret in a ciphertext.
func (c *Client) Decapsulate(ctx context.Context, in *api.DecapsulateRequest) (*api.DecapsulateResponse, error) {
	return do[api.DecapsulateResponse](ctx, c, http.MethodPost, key(in.KeyId, "/decapsulate"), nil, in)
}

// GenerateRandom gives random bytes out of the token.
func (c *Client) GenerateRandom(ctx context.Context, in *api.GenerateRandomRequest) (*api.GenerateRandomResponse, error) {
	return do[api.GenerateRandomResponse](ctx, c, http.MethodPost, "/v1/random", nil, in)
}

// ListPublicKeys lists the public keys of all versions of a key.
func (c *Client) ListPublicKeys(ctx context.Context, in *api.ListPublicKeysRequest) (*api.ListPublicKeysResponse, error) {
	return do[api.ListPublicKeysResponse](ctx, c, http.MethodGet, key(in.KeyId, "/public-keys"), nil, nil)
}

// GetKeyHistory gets the same as a document that the key has signed.
func (c *Client) GetKeyHistory(ctx context.Context, in *api.GetKeyHistoryRequest) (*api.GetKeyHistoryResponse, error) {
	return do[api.GetKeyHistoryResponse](ctx, c, http.MethodGet, key(in.KeyId, "/history"), nil, nil)
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
	return do[api.ListAliasesResponse](ctx, c, http.MethodGet, "/v1/aliases", query(in), nil)
}

// UpdateKeyDescription gives a key another description.
func (c *Client) UpdateKeyDescription(ctx context.Context, in *api.UpdateKeyDescriptionRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPut, key(in.KeyId, "/description"), nil, in)
}

// GetKeyLastUsage says when a key was last used.
func (c *Client) GetKeyLastUsage(ctx context.Context, in *api.GetKeyLastUsageRequest) (*api.GetKeyLastUsageResponse, error) {
	return do[api.GetKeyLastUsageResponse](ctx, c, http.MethodGet, key(in.KeyId, "/last-usage"), query(in, "KeyId"), nil)
}

// TagResource puts tags on a key.
func (c *Client) TagResource(ctx context.Context, in *api.TagResourceRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/tags"), nil, in)
}

// UntagResource takes tags off a key.
func (c *Client) UntagResource(ctx context.Context, in *api.UntagResourceRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/untag"), nil, in)
}

// ListResourceTags lists a page of a key's tags.
func (c *Client) ListResourceTags(ctx context.Context, in *api.ListResourceTagsRequest) (*api.ListResourceTagsResponse, error) {
	return do[api.ListResourceTagsResponse](ctx, c, http.MethodGet, key(in.KeyId, "/tags"), query(in, "KeyId"), nil)
}

// PutKeyPolicy replaces a key's policy.
func (c *Client) PutKeyPolicy(ctx context.Context, in *api.PutKeyPolicyRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPut, key(in.KeyId, "/policy"), nil, in)
}

// GetKeyPolicy gives a key's policy.
func (c *Client) GetKeyPolicy(ctx context.Context, in *api.GetKeyPolicyRequest) (*api.GetKeyPolicyResponse, error) {
	return do[api.GetKeyPolicyResponse](ctx, c, http.MethodGet, key(in.KeyId, "/policy"), query(in, "KeyId"), nil)
}

// ListKeyPolicies names a key's policies.
func (c *Client) ListKeyPolicies(ctx context.Context, in *api.ListKeyPoliciesRequest) (*api.ListKeyPoliciesResponse, error) {
	return do[api.ListKeyPoliciesResponse](ctx, c, http.MethodGet, key(in.KeyId, "/policies"), query(in, "KeyId"), nil)
}

// CreateGrant lets a principal use a key.
func (c *Client) CreateGrant(ctx context.Context, in *api.CreateGrantRequest) (*api.CreateGrantResponse, error) {
	return do[api.CreateGrantResponse](ctx, c, http.MethodPost, key(in.KeyId, "/grants"), nil, in)
}

// ListGrants lists a page of a key's grants.
func (c *Client) ListGrants(ctx context.Context, in *api.ListGrantsRequest) (*api.ListGrantsResponse, error) {
	return do[api.ListGrantsResponse](ctx, c, http.MethodGet, key(in.KeyId, "/grants"), query(in, "KeyId"), nil)
}

// RevokeGrant ends a grant.
func (c *Client) RevokeGrant(ctx context.Context, in *api.RevokeGrantRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/revoke-grant"), nil, in)
}

// RetireGrant ends a grant on behalf of its grantee.
func (c *Client) RetireGrant(ctx context.Context, in *api.RetireGrantRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/grants/retire", nil, in)
}

// ListRetirableGrants lists a page of the grants that a principal may retire.
func (c *Client) ListRetirableGrants(ctx context.Context, in *api.ListRetirableGrantsRequest) (*api.ListRetirableGrantsResponse, error) {
	return do[api.ListRetirableGrantsResponse](ctx, c, http.MethodGet, "/v1/grants", query(in), nil)
}

// EnableKeyRotation has a key rotated at regular times.
func (c *Client) EnableKeyRotation(ctx context.Context, in *api.EnableKeyRotationRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPut, key(in.KeyId, "/rotation"), nil, in)
}

// DisableKeyRotation ends that.
func (c *Client) DisableKeyRotation(ctx context.Context, in *api.DisableKeyRotationRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodDelete, key(in.KeyId, "/rotation"), nil, nil)
}

// GetKeyRotationStatus says when a key is rotated.
func (c *Client) GetKeyRotationStatus(ctx context.Context, in *api.GetKeyRotationStatusRequest) (*api.GetKeyRotationStatusResponse, error) {
	return do[api.GetKeyRotationStatusResponse](ctx, c, http.MethodGet, key(in.KeyId, "/rotation"), query(in, "KeyId"), nil)
}

// ListKeyRotations lists a page of a key's rotations.
func (c *Client) ListKeyRotations(ctx context.Context, in *api.ListKeyRotationsRequest) (*api.ListKeyRotationsResponse, error) {
	return do[api.ListKeyRotationsResponse](ctx, c, http.MethodGet, key(in.KeyId, "/rotations"), query(in, "KeyId"), nil)
}

// RotateKeyOnDemand gives a key a new version now.
func (c *Client) RotateKeyOnDemand(ctx context.Context, in *api.RotateKeyOnDemandRequest) (*api.RotateKeyOnDemandResponse, error) {
	return do[api.RotateKeyOnDemandResponse](ctx, c, http.MethodPost, key(in.KeyId, "/rotate"), nil, in)
}

// GetReceipt gives the receipt of an earlier call: that of one's own, and with hsmgate:GetReceipt that of others.
func (c *Client) GetReceipt(ctx context.Context, in *api.GetReceiptRequest) (*api.GetReceiptResponse, error) {
	return do[api.GetReceiptResponse](ctx, c, http.MethodGet, "/v1/log/receipt", query(in), nil)
}

// GetParametersForImport gives what an import of key material needs.
func (c *Client) GetParametersForImport(ctx context.Context, in *api.GetParametersForImportRequest) (*api.GetParametersForImportResponse, error) {
	return do[api.GetParametersForImportResponse](ctx, c, http.MethodPost, key(in.KeyId, "/import-parameters"), nil, in)
}

// ImportKeyMaterial brings key material from outside.
func (c *Client) ImportKeyMaterial(ctx context.Context, in *api.ImportKeyMaterialRequest) (*api.ImportKeyMaterialResponse, error) {
	return do[api.ImportKeyMaterialResponse](ctx, c, http.MethodPost, key(in.KeyId, "/import"), nil, in)
}

// DeleteImportedKeyMaterial destroys imported material; the key stays.
func (c *Client) DeleteImportedKeyMaterial(ctx context.Context, in *api.DeleteImportedKeyMaterialRequest) (*api.DeleteImportedKeyMaterialResponse, error) {
	return do[api.DeleteImportedKeyMaterialResponse](ctx, c, http.MethodPost, key(in.KeyId, "/delete-imported"), nil, in)
}

// ReplicateKey makes a related key in another Region.
func (c *Client) ReplicateKey(ctx context.Context, in *api.ReplicateKeyRequest) (*api.ReplicateKeyResponse, error) {
	return do[api.ReplicateKeyResponse](ctx, c, http.MethodPost, key(in.KeyId, "/replicate"), nil, in)
}

// UpdatePrimaryRegion makes a replica the primary key.
func (c *Client) UpdatePrimaryRegion(ctx context.Context, in *api.UpdatePrimaryRegionRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPut, key(in.KeyId, "/primary-region"), nil, in)
}

// CreateCustomKeyStore makes a custom key store.
func (c *Client) CreateCustomKeyStore(ctx context.Context, in *api.CreateCustomKeyStoreRequest) (*api.CreateCustomKeyStoreResponse, error) {
	return do[api.CreateCustomKeyStoreResponse](ctx, c, http.MethodPost, "/v1/custom-key-stores", nil, in)
}

// DescribeCustomKeyStores lists a page of custom key stores.
func (c *Client) DescribeCustomKeyStores(ctx context.Context, in *api.DescribeCustomKeyStoresRequest) (*api.DescribeCustomKeyStoresResponse, error) {
	return do[api.DescribeCustomKeyStoresResponse](ctx, c, http.MethodGet, "/v1/custom-key-stores", query(in), nil)
}

// UpdateCustomKeyStore changes a custom key store.
func (c *Client) UpdateCustomKeyStore(ctx context.Context, in *api.UpdateCustomKeyStoreRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/custom-key-stores/update", nil, in)
}

// DeleteCustomKeyStore removes a custom key store without keys.
func (c *Client) DeleteCustomKeyStore(ctx context.Context, in *api.DeleteCustomKeyStoreRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/custom-key-stores/delete", nil, in)
}

// ConnectCustomKeyStore connects a custom key store.
func (c *Client) ConnectCustomKeyStore(ctx context.Context, in *api.ConnectCustomKeyStoreRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/custom-key-stores/connect", nil, in)
}

// DisconnectCustomKeyStore disconnects a custom key store.
func (c *Client) DisconnectCustomKeyStore(ctx context.Context, in *api.DisconnectCustomKeyStoreRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/custom-key-stores/disconnect", nil, in)
}

// CreateAccessKey makes an access key; its secret is shown this once.
func (c *Client) CreateAccessKey(ctx context.Context, in *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResponse, error) {
	return do[api.CreateAccessKeyResponse](ctx, c, http.MethodPost, "/v1/access-keys", nil, in)
}

// ListAccessKeys lists the access keys of a user.
func (c *Client) ListAccessKeys(ctx context.Context, in *api.ListAccessKeysRequest) (*api.ListAccessKeysResponse, error) {
	return do[api.ListAccessKeysResponse](ctx, c, http.MethodGet, "/v1/access-keys", query(in), nil)
}

// UpdateAccessKey takes an access key out of use, or into use again.
func (c *Client) UpdateAccessKey(ctx context.Context, in *api.UpdateAccessKeyRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/access-keys/update", nil, in)
}

// DeleteAccessKey removes an access key for ever.
func (c *Client) DeleteAccessKey(ctx context.Context, in *api.DeleteAccessKeyRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, "/v1/access-keys/delete", nil, in)
}

// AssumeRoleWithWebIdentity exchanges the token of an identity provider, which the
// client has as its Token, for temporary credentials and a bearer token.
func (c *Client) AssumeRoleWithWebIdentity(ctx context.Context, in *api.AssumeRoleWithWebIdentityRequest) (*api.AssumeRoleWithWebIdentityResponse, error) {
	return do[api.AssumeRoleWithWebIdentityResponse](ctx, c, http.MethodPost, "/v1/sessions", nil, in)
}

// PublicKeyAs gives a public key in another form, by its media type:
// application/x-pem-file, application/octet-stream (DER), application/jwk+json
// or text/x-ssh-public-key; application/jwk-set+json has those of all versions.
func (c *Client) PublicKeyAs(ctx context.Context, ref, mediaType string) ([]byte, error) {
	path := key(ref, "/public-key")
	if mediaType == "application/jwk-set+json" {
		path = key(ref, "/public-keys")
	}
	return c.send(ctx, request{method: http.MethodGet, path: path, accept: mediaType})
}
