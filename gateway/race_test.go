package gateway

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// changeableService has what changes of state need.
func changeableService(t *testing.T) *Service {
	t.Helper()
	s := referenceService(t)
	s.now, s.log, s.auditTimeout = time.Now, zap.NewNop(), time.Minute
	var err error
	if s.audit, err = audit.Open(filepath.Join(t.TempDir(), "audit.log"), audit.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.audit.Close() })
	return s
}

// TestOvertakenChangesAreClearErrors: between the decision on a key's state and
// the change, another call has changed it.
func TestOvertakenChangesAreClearErrors(t *testing.T) {
	t.Parallel()
	s := changeableService(t)
	seen, _ := s.store.Key(testNames.Region, ownKey)
	for _, c := range []struct {
		op, meanwhile string
		code          api.Code
		text          string
	}{
		{"DisableKey", store.StatePendingDeletion, api.KMSInvalidState, ownARN + " is pending deletion."},
		{"CancelKeyDeletion", store.StateDisabled, api.KMSInvalidState, ownARN + " is not pending deletion."},
		{"EnableKey", store.StateDisabled, api.KMSInvalidState, ownARN + " was changed by another call at the same time and is Disabled now. Look at it and try again."},
		{"EnableKey", store.StateDeleted, api.NotFound, "Key '" + ownARN + "' does not exist"},
	} {
		var err error
		switch c.meanwhile {
		case store.StateDeleted:
			err = s.store.DeleteKey(t.Context(), testNames.Region, ownKey)
		case store.StatePendingDeletion:
			err = s.store.SetKeyState(t.Context(), testNames.Region, ownKey, c.meanwhile, time.Now().Add(time.Hour))
		default:
			err = s.store.SetKeyState(t.Context(), testNames.Region, ownKey, c.meanwhile, time.Time{})
		}
		if err != nil {
			t.Fatal(err)
		}
		op, _ := OpNamed(c.op)
		call := &Call{op: op, key: seen}
		call.record.KeyARN = ownARN
		refused := s.setState(t.Context(), call, store.StateEnabled, time.Time{})
		if refused == nil || refused.Code != c.code || refused.Message != c.text || call.undo != nil {
			t.Errorf("%s while the key became %s: %v", c.op, c.meanwhile, refused)
		}
	}
}

// TestConcurrentChangesOfState never end as internal errors.
func TestConcurrentChangesOfState(t *testing.T) {
	t.Parallel()
	s := changeableService(t)
	var wg sync.WaitGroup
	for _, name := range []string{"EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion"} {
		op, _ := OpNamed(name)
		wg.Go(func() {
			for range 25 {
				key, _ := s.store.Key(testNames.Region, ownKey)
				in := op.New()
				if err := op.States.check(ownARN, api.KeyState(key.State)); err != nil {
					continue
				}
				if _, err := op.run(t.Context(), s, &Call{op: op, key: key}, in); err != nil && err.Code != api.KMSInvalidState {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
}
