package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// usesEvery is how often last uses are written: a crash loses those of so long.
const usesEvery = 5 * time.Second

// trackedOperations are those that GetKeyLastUsage tells of.
var trackedOperations = api.Values("KeyLastUsageTrackingOperation")

func tracked(operation string) bool { return slices.Contains(trackedOperations, operation) }

// lastUses notes in memory when each key was last used, so that a call waits for
// nothing, and has it written now and then.
type lastUses struct {
	since   time.Time  // from when on the database has them
	byKey   sync.Map   // ARN -> *lastUse
	writing sync.Mutex // one at a time; guards lastUse.written
}

// lastUse is the last use of one key.
type lastUse struct {
	now     atomic.Pointer[store.LastUse]
	written *store.LastUse
}

// note remembers an allowed call. It is called after the record is durable.
func (u *lastUses) note(k *store.Key, arn string, c *Call, at time.Time) {
	slot, ok := u.byKey.Load(arn)
	if !ok {
		slot, _ = u.byKey.LoadOrStore(arn, new(lastUse))
	}
	slot.(*lastUse).now.Store(&store.LastUse{Region: k.Region, KeyID: k.ID, Operation: c.op.Name, RequestID: c.RequestID, UsedAt: at})
}

// write writes what was noted since the last time. What cannot be written is
// tried again with the next.
func (u *lastUses) write(ctx context.Context, s *store.Store) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	var fresh []store.LastUse
	written := make(map[*lastUse]*store.LastUse)
	u.byKey.Range(func(arn, value any) bool {
		slot := value.(*lastUse)
		last := slot.now.Load()
		switch {
		case last == nil: // it is being noted
		case gone(s, last):
			u.byKey.Delete(arn)
		case last == slot.written: // nothing new
		default:
			fresh, written[slot] = append(fresh, *last), last
		}
		return true
	})
	if len(fresh) == 0 {
		return nil
	}
	if err := s.SetLastUses(ctx, fresh); err != nil {
		return err
	}
	for slot, last := range written {
		slot.written = last
	}
	return nil
}

func gone(s *store.Store, use *store.LastUse) bool {
	_, there := s.Key(use.Region, use.KeyID)
	return !there
}

// of is the last use of a key that is known: noted here, or written, perhaps by
// another process. Nil where there is none.
func (u *lastUses) of(k *store.Key, arn string, s *store.Store) *store.LastUse {
	last, _ := s.LastUse(k.Region, k.ID)
	if slot, ok := u.byKey.Load(arn); ok {
		if now := slot.(*lastUse).now.Load(); now != nil && (last == nil || now.UsedAt.After(last.UsedAt)) {
			return now
		}
	}
	return last
}

// Flush writes what is known of last uses, and of the records of kept answers: the end
// of the program calls it, once no call is under way.
func (s *Service) Flush(ctx context.Context) error {
	return errors.Join(s.uses.write(ctx, s.store), s.once.flush())
}

// GetKeyLastUsage tells when a key was last used with success.
func (s *Service) GetKeyLastUsage(_ context.Context, c *Call, _ *api.GetKeyLastUsageRequest) (*api.GetKeyLastUsageResponse, *api.Error) {
	since := s.uses.since
	if c.key.CreatedAt.After(since) {
		since = c.key.CreatedAt
	}
	out := &api.GetKeyLastUsageResponse{
		KeyId: c.record.KeyARN, KeyLastUsage: &api.KeyLastUsageData{},
		TrackingStartDate: api.NewTime(since), KeyCreationDate: api.NewTime(c.key.CreatedAt),
	}
	if u := s.uses.of(c.key, c.record.KeyARN, s.store); u != nil {
		out.KeyLastUsage = &api.KeyLastUsageData{Operation: api.KeyLastUsageOperation(u.Operation), Timestamp: api.NewTime(u.UsedAt), KmsRequestId: u.RequestID}
	}
	return out, nil
}
