package gateway

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/watch"
)

// GetUsage counts the calls of the last hours, from memory. Its permission is about no key: who has it sees how all keys
// are used.
func (s *Service) GetUsage(_ context.Context, c *Call, in *api.GetUsageRequest) (*api.GetUsageResponse, *api.Error) {
	if s.watching == nil {
		return nil, api.Errorf(api.UnsupportedOperation, "This gateway counts no calls, since watch.off is set in its configuration.")
	}
	filter := watch.Filter{Principal: in.PrincipalArn, Operation: in.OperationName, Outcome: string(in.Outcome)}
	if in.KeyId != "" {
		id, err := s.countedAs(c, in.KeyId)
		if err != nil {
			return nil, err
		}
		filter.Key = id
	}
	after, ok := usageAfter(in.Marker)
	if !ok {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of GetUsage.", in.Marker)
	}
	usage, hours := s.watching.usage.Load(), orElse(in.Hours, 7*24)
	found, more, since := usage.Of(filter, s.now(), hours, after, orElse(in.Limit, 100))
	out := &api.GetUsageResponse{Since: api.NewTime(since), Usage: make([]api.UsageSeries, 0, len(found)), Truncated: more,
		LastRecord: int(s.watching.last.Load()), Forgotten: usage.Forgotten()}
	for _, u := range found {
		out.Usage = append(out.Usage, api.UsageSeries{KeyId: u.Key, PrincipalArn: u.Principal, OperationName: u.Operation, Outcome: api.Outcome(u.Outcome), Calls: u.Total(), Hourly: u.Counts})
	}
	if more {
		out.NextMarker = usageMarker(found[len(found)-1])
	}
	return out, nil
}

// countedAs is the id of the key that a reference names. A key that is gone has still been used.
func (s *Service) countedAs(c *Call, reference string) (string, *api.Error) {
	ref, err := s.namesFor(c).parse(reference)
	if err != nil {
		return "", err
	}
	if k := s.resolve(ref); k != nil {
		return k.ID, nil
	}
	if ref.alias != "" {
		return "", ref.missing()
	}
	return ref.id, nil
}

// usageMarker names a series, and usageAfter reads it.
func usageMarker(s watch.Series) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{s.Key, s.Principal, s.Operation, s.Outcome}, "\x00")))
}

func usageAfter(marker string) (watch.Series, bool) {
	if marker == "" {
		return watch.Series{}, true
	}
	text, err := base64.RawURLEncoding.DecodeString(marker)
	parts := strings.Split(string(text), "\x00")
	if err != nil || len(parts) != 4 {
		return watch.Series{}, false
	}
	return watch.Series{Key: parts[0], Principal: parts[1], Operation: parts[2], Outcome: parts[3]}, true
}
