package hsm

import (
	"context"
	"strings"

	"github.com/miekg/pkcs11"
)

// instead says by which algorithms the token imports a key of this spec by itself.
func (i *importer) instead() (string, error) {
	var able []string
	for _, how := range []WrapAlgorithm{WrapAESSHA256, WrapAESSHA1, WrapOAEPSHA256, WrapOAEPSHA1} {
		if rsaBits[i.m.spec] != 0 && !wrapAES[how] {
			continue
		}
		ok, err := i.imports(how)
		if err != nil {
			return "", err
		}
		if ok {
			able = append(able, string(how))
		}
	}
	if len(able) == 0 {
		return "allow imports through this process's memory: this token imports a key of type " + string(i.spec) + " by itself by no algorithm", nil
	}
	return "wrap it by " + strings.Join(able, " or ") + ", which this token unwraps inside, or allow imports through this process's memory", nil
}

// imports tries an algorithm with good material.
func (i *importer) imports(how WrapAlgorithm) (bool, error) {
	try := *i
	try.how, try.hash = how, wrapHash[how]
	try.m.token, try.m.id, try.m.label = false, NewID(), "hsmgate self-test"
	sample, err := try.sample()
	if err != nil {
		return false, nil //nolint:nilerr // the sample does not fit: nothing shows that the token can
	}
	for _, w := range try.ways() {
		h, err := try.place(func(v *template) (pkcs11.ObjectHandle, error) { return w(&try, sample, v.unwrapped()) }, true)
		if err != nil && stops(err) {
			return false, err
		}
		if err != nil {
			continue
		}
		known := secretKinds[i.m.spec] == nil
		if !known {
			size, _ := try.s.attribute(h, pkcs11.CKA_VALUE_LEN) // without it the key is not taken: see finishSecret
			known = ulong(size) != 0
		}
		if err := try.s.ctx.DestroyObject(try.s.h, h); err != nil || known {
			return known, err
		}
	}
	return false, nil
}

// SameSecret reports whether the secret key under this CKA_ID is the one that check is of: GenerateSecret or Import gave it for that key, perhaps for
// another object of the same material. Errors: ErrInvalid (check is none of this spec), ErrKeyMissing, ErrUnavailable and the like.
func (t *Token) SameSecret(ctx context.Context, id []byte, spec KeySpec, check []byte) (same bool, err error) {
	x, err := NewSecret(id, spec, check)
	if err != nil {
		return false, err
	}
	g, err := t.current("key")
	if err != nil {
		return false, err
	}
	err = g.call(ctx, g.sign, callFind, t.limits(), func(s *session) error {
		e, err := s.lookUp(x.id)
		if err != nil {
			return err
		}
		if len(e.held(true)) == 0 {
			return missing(x.id)
		}
		if err := e.usable(x.id, nil); err != nil {
			return err
		}
		same, err = x.expect(s, e)
		return err
	})
	if err != nil {
		return false, t.explain(ctx, g, "key", err)
	}
	return same, nil
}
