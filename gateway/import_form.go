package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// bring has the token import it, and material that was here before in the form
// of its version. Where versions have several forms and the call names none, the
// material has to be there to tell which it is.
func (i *importing) bring(ctx context.Context) error {
	k, forms := i.c.key, i.forms()
	for n, form := range forms {
		var err error
		i.made, err = i.token.ImportAgain(ctx, i.wrapping, hsm.WrapAlgorithm(i.params.Algorithm), i.in.EncryptedKeyMaterial,
			hsm.KeySpec(k.Spec), hsmUse(api.KeySpec(k.Spec), api.KeyUsage(k.Usage)), i.object, k.ID, i.s.imports.AllowInMemory, form)
		switch last := n == len(forms)-1; {
		case last, err != nil && !errors.Is(err, hsm.ErrUnsupported):
			return err
		case err != nil:
			continue
		}
		if _, known, err := i.s.versionOf(ctx, i.token, k, i.object, i.made); known || err != nil {
			return nil //nolint:nilerr // keep asks again, and answers it
		}
		if err := i.token.Destroy(ctx, i.object); err != nil {
			return err
		}
	}
	return nil
}

// forms are check values of the versions that the material may be of, one for
// each way to keep it; nil stands for what has none: new material, and pairs.
func (i *importing) forms() (forms [][]byte) {
	if i.number > 0 {
		return [][]byte{nil}
	}
	for _, v := range i.c.key.Versions {
		if i.in.KeyMaterialId != "" && v.MaterialID != i.in.KeyMaterialId {
			continue
		}
		if !slices.ContainsFunc(forms, func(check []byte) bool { return hsm.SameForm(check, v.Check) }) {
			forms = append(forms, v.Check)
		}
	}
	return forms
}
