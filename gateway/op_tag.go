package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// tagText is what the name and the value of a tag are made of: letters, digits
// and spaces of any script, and + - = . _ : / @ (AWS KMS developer guide, Tagging keys).
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// newTags are the tags that a key has once those of a request are on it: one of
// the same name is replaced.
func (s *Service) newTags(old []store.Tag, in []api.Tag) ([]store.Tag, *api.Error) {
	all, named := slices.Clone(old), make(map[string]bool, len(in))
	for _, t := range in {
		switch {
		case named[t.TagKey]:
			return nil, api.Errorf(api.InvalidTag, "Duplicate tag keys")
		case strings.HasPrefix(strings.ToLower(t.TagKey), "aws:"):
			return nil, api.Errorf(api.InvalidTag, "Tags beginning with aws: are reserved")
		case !tagText.MatchString(t.TagKey), !tagText.MatchString(t.TagValue):
			return nil, api.Errorf(api.InvalidTag, "Tag %q is not valid: tag keys and values are made of letters, digits, spaces and + - = . _ : / @", t.TagKey)
		}
		named[t.TagKey] = true
		all = slices.DeleteFunc(all, func(o store.Tag) bool { return o.Name == t.TagKey })
		all = append(all, store.Tag{Name: t.TagKey, Value: t.TagValue})
	}
	if len(all) > s.quotas.TagsPerKey {
		return nil, api.Errorf(api.InvalidTag, "Too many tags")
	}
	return all, nil
}

// TagResource puts tags on a key.
func (s *Service) TagResource(ctx context.Context, c *Call, in *api.TagResourceRequest) (*api.Empty, *api.Error) {
	change := func(old []store.Tag) ([]store.Tag, *api.Error) { return s.newTags(old, in.Tags) }
	if _, err := change(c.key.Tags); err != nil { // before anything is recorded as begun
		return nil, err
	}
	names := make([]string, len(in.Tags))
	for i, t := range in.Tags {
		names[i] = t.TagKey
	}
	s.tagsChange(c, c.key, names)
	return s.changeTags(ctx, c, change)
}

// UntagResource takes tags off a key. A name that it does not have is no error.
func (s *Service) UntagResource(ctx context.Context, c *Call, in *api.UntagResourceRequest) (*api.Empty, *api.Error) {
	s.tagsChange(c, c.key, in.TagKeys)
	return s.changeTags(ctx, c, func(old []store.Tag) ([]store.Tag, *api.Error) {
		return slices.DeleteFunc(old, func(t store.Tag) bool { return slices.Contains(in.TagKeys, t.Name) }), nil
	})
}

// changeTags changes the tags that the call's key has at that moment, and takes the
// change back when its record cannot be kept.
func (s *Service) changeTags(ctx context.Context, c *Call, change func([]store.Tag) ([]store.Tag, *api.Error)) (*api.Empty, *api.Error) {
	k := c.key
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	var before, after []store.Tag
	err := s.store.ChangeTags(ctx, k.Region, k.ID, func(old []store.Tag) ([]store.Tag, error) {
		before = slices.Clone(old)
		now, refused := change(old)
		if refused != nil {
			return nil, refused
		}
		after = now
		return now, nil
	})
	var refused *api.Error
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case err != nil:
		return nil, s.stateError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.ChangeTags(ctx, k.Region, k.ID, func(now []store.Tag) ([]store.Tag, error) { return withoutChange(now, before, after), nil })
	})
	return &api.Empty{}, nil
}

// withoutChange takes back what a change made of the tags before, and leaves what
// another process has changed since.
func withoutChange(now, before, after []store.Tag) []store.Tag {
	type value struct {
		text  string
		there bool
	}
	of := func(tags []store.Tag, name string) value {
		at := slices.IndexFunc(tags, func(t store.Tag) bool { return t.Name == name })
		if at < 0 {
			return value{}
		}
		return value{tags[at].Value, true}
	}
	var kept []store.Tag
	ours := func(name string) bool {
		return of(before, name) != of(after, name) && of(now, name) == of(after, name)
	}
	for _, t := range now {
		if !ours(t.Name) {
			kept = append(kept, t)
		}
	}
	for _, t := range before {
		if ours(t.Name) {
			kept = append(kept, t)
		}
	}
	return kept
}

// ListResourceTags lists the tags of a key by name; the marker holds the last
// name of the page before.
func (s *Service) ListResourceTags(_ context.Context, c *Call, in *api.ListResourceTagsRequest) (*api.ListResourceTagsResponse, *api.Error) {
	after, ok := tagOf(in.Marker)
	if !ok {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListResourceTags.", in.Marker)
	}
	out := &api.ListResourceTagsResponse{Tags: []api.Tag{}}
	for _, t := range c.key.Tags {
		switch {
		case t.Name <= after:
		case len(out.Tags) == orElse(in.Limit, 50):
			out.Truncated, out.NextMarker = true, tagMarker(out.Tags[len(out.Tags)-1].TagKey)
			return out, nil
		default:
			out.Tags = append(out.Tags, api.Tag{TagKey: t.Name, TagValue: t.Value})
		}
	}
	return out, nil
}

// A marker is not the name of the tag itself: one may have letters that a marker
// cannot.
const tagMarkerStart = "tag:"

func tagMarker(name string) string {
	return tagMarkerStart + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// tagOf is the name in a marker; "" comes before every name.
func tagOf(marker string) (name string, ok bool) {
	if marker == "" {
		return "", true
	}
	encoded, ours := strings.CutPrefix(marker, tagMarkerStart)
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	return string(text), ours && err == nil && len(text) > 0 && utf8.Valid(text)
}
