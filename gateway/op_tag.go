package gateway

import (
	"context"
	"encoding/base64"
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
	tags, err := s.newTags(c.key.Tags, in.Tags)
	if err != nil {
		return nil, err
	}
	return s.setTags(ctx, c, tags)
}

// UntagResource takes tags off a key. A name that it does not have is no error.
func (s *Service) UntagResource(ctx context.Context, c *Call, in *api.UntagResourceRequest) (*api.Empty, *api.Error) {
	return s.setTags(ctx, c, slices.DeleteFunc(slices.Clone(c.key.Tags), func(t store.Tag) bool {
		return slices.Contains(in.TagKeys, t.Name)
	}))
}

// setTags replaces the tags of the call's key, and puts the old ones back when
// its record cannot be kept.
func (s *Service) setTags(ctx context.Context, c *Call, tags []store.Tag) (*api.Empty, *api.Error) {
	old := c.key
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	if err := s.store.SetTags(ctx, old.Region, old.ID, tags); err != nil {
		return nil, s.stateError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error { return s.store.SetTags(ctx, old.Region, old.ID, old.Tags) })
	return &api.Empty{}, nil
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
