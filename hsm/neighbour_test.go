package hsm_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// A token that stays away cuts off the other tokens of its library ever more seldom, and not with each attempt to open it, of which there are
// a dozen in this time.
func TestAwayBesideAnother(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	folder := hsmtest.Folder(t)
	kept := hsmtest.Open(t, hsmtest.NewToken(t))
	before := entries(t, folder)
	gone := hsmtest.Open(t, hsmtest.NewToken(t))
	dir := ""
	for name := range entries(t, folder) {
		if !before[name] {
			dir = filepath.Join(folder, name)
		}
	}
	signs := func(tok *hsm.Token) func() error {
		k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
		return func() error { _, err := tok.Sign(ctx, k, p256, make([]byte, 32)); return err }
	}
	goneSigns, keptSigns := signs(gone), signs(kept)
	if err := os.Rename(dir, folder+"-away"); err != nil {
		t.Fatal(err)
	}
	hsmtest.Eventually(t, back, "the token is away", func() error {
		if gone.Stats().Available {
			return errors.New("not yet")
		}
		return nil
	})
	recoveries := kept.Stats().Recoveries
	time.Sleep(5500 * time.Millisecond) // the library ends at once, and after 2 seconds
	if n := kept.Stats().Recoveries - recoveries; n > 3 {
		t.Errorf("the other token was cut off %d times", n)
	}
	hsmtest.Eventually(t, back, "the other token serves", keptSigns)
	if err := os.Rename(folder+"-away", dir); err != nil {
		t.Fatal(err)
	}
	hsmtest.Eventually(t, time.Minute, "the token is back", goneSigns)
}

func entries(t *testing.T, folder string) map[string]bool {
	t.Helper()
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, e := range list {
		names[e.Name()] = true
	}
	return names
}
