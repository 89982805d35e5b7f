package hsm_test

import (
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// Two objects of the same material are the same secret; others are not.
func TestSameSecret(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	for spec, use := range map[hsm.KeySpec]hsm.Use{hsm.Symmetric: hsm.UseCipher, hsm.HMAC256: hsm.UseMAC} {
		m, other := hsmtest.MaterialOf(t, spec, use), hsmtest.MaterialOf(t, spec, use)
		bring := func(material []byte) (id, check []byte) {
			id = hsm.NewID()
			in, err := tok.Import(ctx, w, hsm.WrapOAEPSHA1, hsmtest.Wrap(t, pub, hsm.WrapOAEPSHA1, material), spec, use, id, "imported", true)
			if err != nil {
				t.Fatal(err)
			}
			return id, in.Check
		}
		first, check := bring(m.Value)
		again, _ := bring(m.Value)
		different, _ := bring(other.Value)
		for _, c := range []struct {
			id   []byte
			want bool
		}{{first, true}, {again, true}, {different, false}} {
			if same, err := tok.SameSecret(ctx, c.id, spec, check); err != nil || same != c.want {
				t.Errorf("%s: %v, want %v (%v)", spec, same, c.want, err)
			}
		}
		if _, err := tok.SameSecret(ctx, hsm.NewID(), spec, check); !errors.Is(err, hsm.ErrKeyMissing) {
			t.Errorf("no key: %v", err)
		}
		if _, err := tok.SameSecret(ctx, first, spec, check[:4]); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("no check value: %v", err)
		}
	}
}
