package store

import (
	"strings"
	"sync"
	"testing"
)

// The first to settle decides, and stays; other values are refused by both names.
func TestSettings(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		ok(t, s.BelongsTo(ctx, "111122223333", home)) // nothing is settled yet
		ok(t, s.BelongsTo(ctx, "444455556666", home))
		ok(t, s.Settle(ctx, "111122223333", home))
		ok(t, s.Settle(ctx, "111122223333", home))
		again := openAgain(t, s)
		for _, other := range [][2]string{{"444455556666", home}, {"111122223333", "eu-west-9"}} {
			for _, err := range []error{again.Settle(ctx, other[0], other[1]), again.BelongsTo(ctx, other[0], other[1])} {
				is(t, err, ErrElsewhere)
				if text := err.Error(); !strings.Contains(text, other[0]) && !strings.Contains(text, other[1]) ||
					!strings.Contains(text, "111122223333") && !strings.Contains(text, home) {
					t.Errorf("the error does not name both values: %s", text)
				}
			}
		}
		ok(t, again.BelongsTo(ctx, "111122223333", home))
	})
}

// Of several first starts at once, those of one account alone succeed.
func TestSettledOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		other := openAgain(t, s)
		var errs [2]error
		var wg sync.WaitGroup
		for n, one := range []*Store{s, other} {
			wg.Go(func() { errs[n] = one.Settle(t.Context(), strings.Repeat(string(rune('1'+n)), 12), home) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("%v, %v", errs[0], errs[1])
		}
	})
}
