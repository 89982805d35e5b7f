package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// userOf is the ARN of the principal that a request names.
func (s *Service) userOf(c *Call, name string) string {
	if name == "" {
		return c.Principal.ARN
	}
	return "arn:aws:iam::" + s.names.Account + ":user/" + name
}

// user finds the principal that a request names. A session is none: it has
// no access keys.
func (s *Service) user(c *Call, name string) (*store.Principal, *api.Error) {
	p, ok := s.store.Principal(s.userOf(c, name))
	if !ok || identity.IsRole(p) {
		return nil, api.Errorf(api.NotFound, "There is no user %s. Roles and their sessions have no access keys.", s.userOf(c, name))
	}
	return p, nil
}

// CreateAccessKey makes an access key and shows its secret, this once.
func (s *Service) CreateAccessKey(ctx context.Context, c *Call, in *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResponse, *api.Error) {
	p, err := s.user(c, in.UserName)
	if err != nil {
		return nil, err
	}
	now, ttl := s.now(), time.Duration(0)
	if in.ValidTo != nil {
		if ttl = in.ValidTo.Sub(now); ttl <= 0 {
			return nil, api.Errorf(api.Validation, "ValidTo is in the past: an access key is good until a later time, or for ever where it is left out.")
		}
	}
	if err := s.roomForAccessKey(p.ARN); err != nil {
		return nil, err
	}
	accessChanges(c, p)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	id, secret, cause := s.identities.IssueAccessKey(ctx, p.ARN, ttl, now)
	if cause != nil {
		return nil, s.accessKeyError(c, "", cause)
	}
	c.record.AccessKeyID = id
	c.undoBy(s, func(ctx context.Context) error { return s.identities.DeleteAccessKey(ctx, id) })
	made, ok := s.store.AccessKey(id)
	if !ok { // removed at this moment, with its principal
		return nil, noAccessKey(id)
	}
	return &api.CreateAccessKeyResponse{AccessKey: &api.AccessKey{AccessKeyMetadata: described(p, made), SecretAccessKey: secret}}, nil
}

// ListAccessKeys lists the access keys of a principal.
func (s *Service) ListAccessKeys(_ context.Context, c *Call, in *api.ListAccessKeysRequest) (*api.ListAccessKeysResponse, *api.Error) {
	p, err := s.user(c, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &api.ListAccessKeysResponse{AccessKeyMetadata: []api.AccessKeyMetadata{}}
	for _, k := range s.store.AccessKeys(p.ARN) {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, described(p, k))
	}
	return out, nil
}

// UpdateAccessKey takes an access key out of use, or into use again.
func (s *Service) UpdateAccessKey(ctx context.Context, c *Call, in *api.UpdateAccessKeyRequest) (*api.Empty, *api.Error) {
	id := in.AccessKeyId
	if err := s.startAccessKey(ctx, c, in.UserName, id); err != nil {
		return nil, err
	}
	disabled := in.Status == api.AccessKeyInactive
	was, cause := s.store.SetAccessKeyDisabled(ctx, id, disabled)
	if cause != nil {
		return nil, s.accessKeyError(c, id, cause)
	}
	if disabled != was {
		c.undoBy(s, func(ctx context.Context) error {
			_, err := s.store.SetAccessKeyDisabled(ctx, id, was)
			return err
		})
	}
	return &api.Empty{}, nil
}

// DeleteAccessKey removes an access key, and ends the sessions that it made.
func (s *Service) DeleteAccessKey(ctx context.Context, c *Call, in *api.DeleteAccessKeyRequest) (*api.Empty, *api.Error) {
	if err := s.startAccessKey(ctx, c, in.UserName, in.AccessKeyId); err != nil {
		return nil, err
	}
	old, cause := s.store.DeleteAccessKey(ctx, in.AccessKeyId)
	if cause != nil {
		return nil, s.accessKeyError(c, in.AccessKeyId, cause)
	}
	c.undoBy(s, func(ctx context.Context) error { return s.store.InsertAccessKey(ctx, old) })
	return &api.Empty{}, nil
}

// startAccessKey finds the access key that a change is about, and records that it
// begins.
func (s *Service) startAccessKey(ctx context.Context, c *Call, name, id string) *api.Error {
	p, err := s.user(c, name)
	if err != nil {
		return err
	}
	k, ok := s.store.AccessKey(id)
	if !ok || k.PrincipalARN != p.ARN {
		return noAccessKey(id)
	}
	c.record.AccessKeyID = id
	accessChanges(c, p)
	return s.recordStart(ctx, c)
}

// accessChanges marks a call that changes who can act as another user.
func accessChanges(c *Call, of *store.Principal) {
	c.record.PermissionChange = of.ARN != c.Principal.ARN
}

func (s *Service) accessKeyError(c *Call, id string, cause error) *api.Error {
	if errors.Is(cause, store.ErrNotFound) { // another process was first
		return noAccessKey(id)
	}
	return internal(c.RequestID, cause)
}

func noAccessKey(id string) *api.Error {
	return api.Errorf(api.NotFound, "The Access Key with id %s cannot be found.", id)
}

func described(p *store.Principal, k *store.AccessKey) api.AccessKeyMetadata {
	m := api.AccessKeyMetadata{UserName: p.Name, AccessKeyId: k.ID, Status: api.AccessKeyActive, CreateDate: api.NewTime(k.CreatedAt), ValidTo: api.NewTime(k.ExpiresAt)}
	if k.Disabled {
		m.Status = api.AccessKeyInactive
	}
	return m
}
