package gateway

import (
	"context"
	"testing"
	"time"
)

// A denial is answered at a multiple of the step after its beginning, and not before, however long it took.
func TestDenialIsHeld(t *testing.T) {
	t.Parallel()
	for _, before := range []time.Duration{0, denialStep / 2, 3*denialStep + denialStep/2} {
		start := time.Now().Add(-before)
		holdDenial(t.Context(), start)
		if took := time.Since(start); took < before.Truncate(denialStep)+denialStep {
			t.Errorf("a denial that took %v was answered after %v", before, took)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	holdDenial(gone, time.Now()) // does not wait for a caller who has left
}
