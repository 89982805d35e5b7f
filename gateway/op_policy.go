package gateway

import (
	"context"
	"crypto"
	"crypto/sha256"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// defaultPolicyName is the name of the one policy that a key has.
const defaultPolicyName = "default"

// defaultPolicy is what AWS KMS gives a key that is made without a policy (KMS
// Developer Guide, key-policy-default): roles and identity policies decide.
func (n Names) defaultPolicy() string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::` + n.Account + `:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}

// newPolicy reads the policy that a key is to have; nil when there is none. A
// policy that locks the caller out is refused, unless he wants that.
func (s *Service) newPolicy(c *Call, text string, bypass bool, k *store.Key) (*store.Document, *api.Error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > s.quotas.PolicyBytes {
		return nil, api.Errorf(api.LimitExceeded, "The policy has %d bytes. A key policy has at most %d.", len(text), s.quotas.PolicyBytes)
	}
	doc, err := store.NewDocument(text, policy.KeyPolicy)
	if err != nil {
		return nil, api.Errorf(api.MalformedPolicyDocument, "%s", err)
	}
	sum := sha256.Sum256([]byte(text))
	c.record.Digest = named(crypto.SHA256, sum[:])
	if !bypass && s.lockedOut(c, doc, k) {
		return nil, api.Errorf(api.MalformedPolicyDocument, "The new key policy will not allow you to update the key policy in the future.")
	}
	return doc, nil
}

// GetKeyPolicy gives the policy of a key as it was written.
func (s *Service) GetKeyPolicy(_ context.Context, c *Call, in *api.GetKeyPolicyRequest) (*api.GetKeyPolicyResponse, *api.Error) {
	if in.PolicyName != "" && in.PolicyName != defaultPolicyName {
		return nil, api.Errorf(api.NotFound, "No such policy exists: a key has one, and its name is default.")
	}
	return &api.GetKeyPolicyResponse{Policy: s.policyText(c.key), PolicyName: defaultPolicyName}, nil
}

func (s *Service) policyText(k *store.Key) string {
	if k.Policy == nil {
		return s.names.defaultPolicy()
	}
	return k.Policy.Text
}

// PutKeyPolicy replaces the policy of a key in one region. Taken back is only its own.
func (s *Service) PutKeyPolicy(ctx context.Context, c *Call, in *api.PutKeyPolicyRequest) (*api.Empty, *api.Error) {
	if in.PolicyName != "" && in.PolicyName != defaultPolicyName {
		return nil, api.Errorf(api.Validation, "A key has one policy, and its name is default.")
	}
	k := c.key
	doc, err := s.newPolicy(c, in.Policy, in.BypassPolicyLockoutSafetyCheck, k)
	if err != nil {
		return nil, err
	}
	c.record.PermissionChange = true
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	var before *store.Document
	if err := s.store.ChangeKeyPolicy(ctx, k.Region, k.ID, func(old *store.Document) *store.Document {
		before = old
		return doc
	}); err != nil {
		return nil, s.stateError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.ChangeKeyPolicy(ctx, k.Region, k.ID, func(now *store.Document) *store.Document {
			if now == nil || now.Text != doc.Text { // another process changed it meanwhile
				return now
			}
			return before
		})
	})
	return &api.Empty{}, nil
}

// ListKeyPolicies names the one policy of a key.
func (s *Service) ListKeyPolicies(_ context.Context, _ *Call, in *api.ListKeyPoliciesRequest) (*api.ListKeyPoliciesResponse, *api.Error) {
	if in.Marker != "" {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListKeyPolicies, which has one page.", in.Marker)
	}
	return &api.ListKeyPoliciesResponse{PolicyNames: []string{defaultPolicyName}}, nil
}
