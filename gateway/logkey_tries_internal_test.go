package gateway

import (
	"errors"
	"testing"
	"time"
)

// A log's key that cannot be made does not fill the log: a day of rounds, one a minute, makes few tries.
func TestTriesAreSpaced(t *testing.T) {
	var one tries
	now, failed, made := time.Unix(0, 0), errors.New("no"), 0
	for range 24 * 60 {
		if err := one.do(now, func() error { made++; return failed }); !errors.Is(err, failed) {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if made < 24 || made > 30 {
		t.Fatal(made)
	}
	now = now.Add(maxLogKeyPause)
	if err := one.do(now, func() error { return nil }); err != nil || one.pause != 0 {
		t.Fatal(err)
	}
}
