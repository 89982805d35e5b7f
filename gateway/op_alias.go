package gateway

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// checkAliasName refuses names that AWS KMS refuses beyond their characters.
func checkAliasName(name string) *api.Error {
	switch {
	case !strings.HasPrefix(name, "alias/"):
		return api.Errorf(api.Validation, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`)
	case strings.HasPrefix(name, "alias/aws/"):
		return api.Errorf(api.NotAuthorized, "Names that begin with alias/aws/ are reserved.")
	case name == "alias/" || strings.Contains(name, ":"):
		return api.Errorf(api.InvalidAliasName, "%q is not an alias name: alias/ is followed by letters, digits, / _ and -.", name)
	}
	return nil
}

// CreateAlias gives a key another name.
func (s *Service) CreateAlias(ctx context.Context, c *Call, in *api.CreateAliasRequest) (*api.Empty, *api.Error) {
	if err := s.roomForAlias(c); err != nil {
		return nil, err
	}
	s.aliasChanges(c, c.key)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	now := s.now()
	err := s.store.CreateAlias(ctx, &store.Alias{Region: c.key.Region, Name: in.AliasName, KeyID: c.key.ID, CreatedAt: now, UpdatedAt: now})
	switch {
	case errors.Is(err, store.ErrExists):
		return nil, api.Errorf(api.AlreadyExists, "An alias with the name %s already exists", s.namesFor(c).aliasARN(in.AliasName))
	case errors.Is(err, store.ErrNotFound): // the key was deleted meanwhile
		return nil, api.Errorf(api.NotFound, "Key '%s' does not exist", c.record.KeyARN)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.RevertAlias(ctx, c.key.Region, in.AliasName, c.key.ID, "", now)
	})
	return s.aliasDone(c, in.AliasName, err)
}

// UpdateAlias points a name at another key of the same type and usage.
func (s *Service) UpdateAlias(ctx context.Context, c *Call, in *api.UpdateAliasRequest) (*api.Empty, *api.Error) {
	alias, ok := s.store.Alias(c.key.Region, in.AliasName)
	if !ok {
		return nil, api.Errorf(api.NotFound, "Alias %s is not found.", s.namesFor(c).aliasARN(in.AliasName))
	}
	old, ok := s.store.Key(alias.Region, alias.KeyID)
	if ok && old.ID != c.key.ID {
		if denied := s.decide(c, s.onKey(c, old)); denied != nil { // AWS KMS asks for the permission on both keys
			return nil, denied
		}
	}
	if ok && (old.Usage != c.key.Usage || (old.Spec == string(api.Symmetric)) != (c.key.Spec == string(api.Symmetric))) {
		return nil, api.Errorf(api.Validation, "Alias %s names a key of spec %s with usage %s; it can only be pointed at another of that type and usage.",
			in.AliasName, old.Spec, old.Usage)
	}
	if alias.KeyID != c.key.ID {
		if err := s.roomForAlias(c); err != nil {
			return nil, err
		}
	}
	s.aliasChanges(c, c.key, old)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.RevertAlias(ctx, alias.Region, alias.Name, c.key.ID, alias.KeyID, alias.UpdatedAt)
	})
	return s.aliasDone(c, in.AliasName, s.store.UpdateAlias(ctx, alias.Region, alias.Name, c.key.ID, s.now()))
}

// DeleteAlias removes a name; the key stays.
func (s *Service) DeleteAlias(ctx context.Context, c *Call, in *api.DeleteAliasRequest) (*api.Empty, *api.Error) {
	s.aliasChanges(c, c.key)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	region := s.namesFor(c).Region
	if alias, ok := s.store.Alias(region, in.AliasName); ok {
		c.undoBy(s, func(ctx context.Context) error { return s.store.CreateAlias(ctx, alias) })
	}
	return s.aliasDone(c, in.AliasName, s.store.DeleteAlias(ctx, region, in.AliasName))
}

func (s *Service) aliasDone(c *Call, name string, err error) (*api.Empty, *api.Error) {
	if err == nil {
		return &api.Empty{}, nil
	}
	c.undo = nil // nothing was changed
	if errors.Is(err, store.ErrNotFound) {
		return nil, api.Errorf(api.NotFound, "Alias %s is not found.", s.namesFor(c).aliasARN(name))
	}
	return nil, internal(c.RequestID, err)
}

// aliasMarker is what the last name of a page looks like.
var aliasMarker = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]+$`)

// ListAliases lists names, of all keys or of one; the marker is the last name of
// the page before.
func (s *Service) ListAliases(_ context.Context, c *Call, in *api.ListAliasesRequest) (*api.ListAliasesResponse, *api.Error) {
	keyID, err := s.listedKey(c, in.KeyId)
	if err != nil {
		return nil, err
	}
	if in.Marker != "" && !aliasMarker.MatchString(in.Marker) {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListAliases.", in.Marker)
	}
	page, more := s.store.Aliases(s.namesFor(c).Region, keyID, in.Marker, orElse(in.Limit, 50))
	out := &api.ListAliasesResponse{Aliases: make([]api.AliasListEntry, 0, len(page)), Truncated: more}
	for _, a := range page {
		out.Aliases = append(out.Aliases, api.AliasListEntry{
			AliasName: a.Name, AliasArn: s.namesFor(c).aliasARN(a.Name), TargetKeyId: a.KeyID,
			CreationDate: api.NewTime(a.CreatedAt), LastUpdatedDate: api.NewTime(a.UpdatedAt),
		})
	}
	if more {
		out.NextMarker = page[len(page)-1].Name
	}
	return out, nil
}

// listedKey resolves the key whose aliases are asked for; "" means every key's.
func (s *Service) listedKey(c *Call, reference string) (string, *api.Error) {
	if reference == "" {
		return "", nil
	}
	ref, err := s.namesFor(c).parse(reference)
	if err != nil {
		return "", err
	}
	if ref.alias != "" {
		return "", api.Errorf(api.NotFound, "Invalid keyId '%s'", reference)
	}
	key := s.resolve(ref)
	if key == nil {
		return "", ref.missing()
	}
	c.record.KeyID, c.record.KeyARN = key.ID, s.arn(key)
	return key.ID, nil
}
