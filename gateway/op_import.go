package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// createExternal makes a key that waits for its material.
func (s *Service) createExternal(ctx context.Context, c *Call, k *store.Key) (*api.CreateKeyResponse, *api.Error) {
	if !hsm.Importable(hsm.KeySpec(k.Spec)) {
		return nil, api.Errorf(api.UnsupportedOperation, "Keys of spec %s cannot be imported. Leave Origin out: the token makes the key.", k.Spec)
	}
	c.record.KeyID, c.record.KeyARN = k.ID, s.arn(k)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	if err := s.store.InsertKey(ctx, k); err != nil {
		s.unmake(k) // it may be written all the same
		return nil, internal(c.RequestID, err)
	}
	c.undo = func() { s.unmake(k) }
	made, _ := s.store.Key(k.Region, k.ID)
	return &api.CreateKeyResponse{KeyMetadata: s.metadata(made)}, nil
}

// GetParametersForImport makes a wrapping pair in the token that holds the key.
// What a crash at each step leaves behind: after the 'started' record, nothing;
// after PendObject, an object that may be there or not, which [Service.Start]
// destroys; after InsertImportKey, parameters that nobody has, until they expire.
func (s *Service) GetParametersForImport(ctx context.Context, c *Call, in *api.GetParametersForImportRequest) (*api.GetParametersForImportResponse, *api.Error) {
	k := c.key
	if k.Origin != store.OriginExternal {
		return nil, badOrigin(c)
	}
	if err := checkWrapping(c, in.WrappingAlgorithm, in.WrappingKeySpec); err != nil {
		return nil, err
	}
	token, err := s.tokenOf(k)
	if err != nil {
		return nil, err
	}
	importToken, id := newImportToken()
	p := &store.ImportKey{
		ID: id, Region: k.Region, KeyID: k.ID, Algorithm: string(in.WrappingAlgorithm), Spec: string(in.WrappingKeySpec),
		ObjectID: hsm.NewID(), ExpiresAt: s.now().Add(importValidity),
	}
	c.record.Algorithm = p.Algorithm
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	done, cause := s.pend(ctx, k, p.ObjectID, 0)
	defer done()
	if cause != nil {
		s.discard(token, p.ObjectID) // the note may be written all the same
		return nil, s.importError(c, cause)
	}
	if p.PublicKey, cause = token.GenerateWrapping(ctx, wrappingBits[in.WrappingKeySpec], p.ObjectID, k.ID+" import"); cause != nil {
		s.discard(token, p.ObjectID)
		return nil, s.tokenError(c, cause)
	}
	if err := s.store.InsertImportKey(ctx, p); err != nil {
		s.discard(token, p.ObjectID)
		return nil, s.importError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error { return s.store.DeleteImportKey(ctx, p.ID, s.now()) })
	s.dropOldest(ctx, k)
	return &api.GetParametersForImportResponse{KeyId: c.record.KeyARN, ImportToken: importToken, PublicKey: p.PublicKey, ParametersValidTo: api.NewTime(p.ExpiresAt)}, nil
}

// ImportKeyMaterial brings material into the token. What a crash at each step
// leaves behind: after PendObject, an object that [Service.Start] destroys; after
// AddMaterial or ReplaceMaterial, the whole import, and the object that was
// replaced on the list of those to destroy.
func (s *Service) ImportKeyMaterial(ctx context.Context, c *Call, in *api.ImportKeyMaterialRequest) (*api.ImportKeyMaterialResponse, *api.Error) {
	i, err := s.newImport(c, in)
	if err != nil {
		return nil, err
	}
	c.record.Algorithm, c.record.KeyVersion = i.params.Algorithm, i.number
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	v, err := i.run(ctx)
	if err != nil {
		return nil, err
	}
	c.record.KeyVersion = v.Number
	return &api.ImportKeyMaterialResponse{KeyId: c.record.KeyARN, KeyMaterialId: v.MaterialID, KeyVersion: v.Number}, nil
}

// importing is one import.
type importing struct {
	s        *Service
	c        *Call
	in       *api.ImportKeyMaterialRequest
	token    *hsm.Token
	params   *store.ImportKey
	wrapping *hsm.Key
	expires  time.Time // zero: never
	number   int       // of the version that the material is new to; 0: it was here before
	object   []byte
	made     hsm.Imported
}

// newImport checks what does not need the token.
func (s *Service) newImport(c *Call, in *api.ImportKeyMaterialRequest) (*importing, *api.Error) {
	if c.key.Origin != store.OriginExternal {
		return nil, badOrigin(c)
	}
	i := &importing{s: s, c: c, in: in, object: hsm.NewID()}
	var err *api.Error
	if i.params, err = s.importKey(c, in.ImportToken); err != nil {
		return nil, err
	}
	if i.expires, err = s.expiry(in); err != nil {
		return nil, err
	}
	if i.number, err = s.newMaterial(c, in); err != nil {
		return nil, err
	}
	if i.token, err = s.tokenOf(c.key); err != nil {
		return nil, err
	}
	i.wrapping, err = s.wrappingKey(c, i.params)
	return i, err
}

// newMaterial is the number of the version that an import is to make, 0 where it
// brings material that was here before.
func (s *Service) newMaterial(c *Call, in *api.ImportKeyMaterialRequest) (int, *api.Error) {
	k := c.key
	kind := in.ImportType
	if kind == "" && len(k.Versions) > 0 {
		kind = api.ExistingKeyMaterial
	}
	_, waits := waiting(k)
	switch {
	case kind == api.ExistingKeyMaterial && len(k.Versions) == 0:
		return 0, api.Errorf(api.IncorrectKeyMaterial, "%s has had no key material yet. Let ImportType be NEW_KEY_MATERIAL.", c.record.KeyARN)
	case kind == api.ExistingKeyMaterial && in.KeyMaterialId != "" && !slices.ContainsFunc(k.Versions, func(v store.Version) bool { return v.MaterialID == in.KeyMaterialId }):
		return 0, api.Errorf(api.IncorrectKeyMaterial, "%s has no key material %s. ListKeyRotations with IncludeKeyMaterial ALL_KEY_MATERIAL lists it.", c.record.KeyARN, in.KeyMaterialId)
	case kind == api.ExistingKeyMaterial:
		return 0, nil
	case in.KeyMaterialId != "":
		return 0, api.Errorf(api.Validation, "KeyMaterialId does not go with NEW_KEY_MATERIAL: new material gets its id here.")
	case len(k.Versions) == 0:
		return 1, nil
	case waits || s.announced(k) != nil:
		return 0, api.Errorf(api.KMSInvalidState, "%s has new key material already. Rotate to it (RotateKeyOnDemand), or delete it (DeleteImportedKeyMaterial with its KeyMaterialId).", c.record.KeyARN)
	}
	return lastVersion(k) + 1, s.rotates(c)
}

// run imports, and has it undone when its record cannot be kept.
func (i *importing) run(ctx context.Context) (store.Version, *api.Error) {
	s, k := i.s, i.c.key
	done, cause := s.pend(ctx, k, i.object, i.number)
	defer done()
	if cause != nil {
		s.discard(i.token, i.object) // the note may be written all the same
		return store.Version{}, s.importError(i.c, cause)
	}
	if cause = i.bring(ctx); cause != nil {
		s.discard(i.token, i.object)
		return store.Version{}, s.importFailure(i.c, cause)
	}
	if i.c.record.Unwrapped = "memory"; i.made.InToken {
		i.c.record.Unwrapped = "token"
	}
	v, err := i.keep(ctx)
	if err != nil {
		s.discard(i.token, i.object)
	}
	return v, err
}

// keep makes a version of the object.
func (i *importing) keep(ctx context.Context) (store.Version, *api.Error) {
	s := i.s
	k, ok := s.store.Key(i.c.key.Region, i.c.key.ID) // as it is by now
	if !ok {
		return store.Version{}, s.importError(i.c, store.ErrNotFound)
	}
	old, known, cause := s.versionOf(ctx, i.token, k, i.object, i.made)
	switch {
	case cause != nil:
		return old, s.tokenError(i.c, cause)
	case i.number > 0 && known:
		return old, api.Errorf(api.IncorrectKeyMaterial, "%s has this key material already: %s. Import it with EXISTING_KEY_MATERIAL, or bring other material.", i.c.record.KeyARN, old.MaterialID)
	case i.number > 0:
		return i.add(ctx, k)
	case !known, i.in.KeyMaterialId != "" && old.MaterialID != i.in.KeyMaterialId:
		return old, api.Errorf(api.IncorrectKeyMaterial, "The key material is not the one that was imported into %s before.", i.c.record.KeyARN)
	}
	return i.replace(ctx, old)
}

// add makes the first version, which is used at once, or one that waits for a rotation.
func (i *importing) add(ctx context.Context, k *store.Key) (store.Version, *api.Error) {
	s := i.s
	v := store.Version{
		Number: i.number, ObjectID: i.object, PublicKey: i.made.Public, Check: i.made.Check, CreatedAt: s.now(),
		Description: i.in.KeyMaterialDescription, ExpiresAt: i.expires,
	}
	v.MaterialID = materialID(v)
	if i.number == 1 {
		v.CurrentAt = s.now()
	}
	if err := s.store.AddMaterial(ctx, k.ID, v, s.now()); err != nil {
		return v, s.importError(i.c, err)
	}
	i.c.undoBy(s, func(ctx context.Context) error {
		if v.CurrentAt.IsZero() {
			return s.store.DropMaterial(ctx, k.ID, v.Number, v.ObjectID, s.now())
		}
		// Somebody may have used it meanwhile: what it is known by stays, so that the same material can be imported again.
		return s.store.ReplaceMaterial(ctx, k.ID, v.Number, v.ObjectID, forget, s.now())
	})
	return v, nil
}

// replace gives a version its material again, or another date. Taking that back
// leaves the new object in place of one that is doomed: they are the same.
func (i *importing) replace(ctx context.Context, old store.Version) (store.Version, *api.Error) {
	s, id := i.s, i.c.key.ID
	err := s.store.ReplaceMaterial(ctx, id, old.Number, old.ObjectID, func(v *store.Version) {
		v.ObjectID, v.Check, v.ExpiresAt = i.object, i.made.Check, i.expires
		if i.in.KeyMaterialDescription != "" {
			v.Description = i.in.KeyMaterialDescription
		}
	}, s.now())
	if err != nil {
		return old, s.importError(i.c, err)
	}
	i.c.undoBy(s, func(ctx context.Context) error {
		return s.store.ReplaceMaterial(ctx, id, old.Number, i.object, func(v *store.Version) {
			v.Description, v.ExpiresAt = old.Description, old.ExpiresAt
			if old.ObjectID == nil {
				v.ObjectID = nil
			}
		}, s.now())
	})
	return old, nil
}

// DeleteImportedKeyMaterial takes material away at once; the same can be imported
// again. Material that was never used goes with its version. The 'started' record
// comes before, and the deletion stays whatever becomes of the one after.
func (s *Service) DeleteImportedKeyMaterial(ctx context.Context, c *Call, in *api.DeleteImportedKeyMaterialRequest) (*api.DeleteImportedKeyMaterialResponse, *api.Error) {
	k := c.key
	if k.Origin != store.OriginExternal {
		return nil, badOrigin(c)
	}
	v, _ := k.Current(s.now())
	if in.KeyMaterialId != "" {
		at := slices.IndexFunc(k.Versions, func(v store.Version) bool { return v.MaterialID == in.KeyMaterialId })
		if at < 0 {
			return nil, api.Errorf(api.NotFound, "%s has no key material %s. ListKeyRotations with IncludeKeyMaterial ALL_KEY_MATERIAL lists it.", c.record.KeyARN, in.KeyMaterialId)
		}
		v = k.Versions[at]
	}
	c.record.KeyVersion = v.Number
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	if err := s.takeMaterial(ctx, k, v); err != nil {
		return nil, s.importError(c, err)
	}
	return &api.DeleteImportedKeyMaterialResponse{KeyId: c.record.KeyARN, KeyMaterialId: v.MaterialID}, nil
}

func (s *Service) takeMaterial(ctx context.Context, k *store.Key, v store.Version) error {
	begun := !v.CurrentAt.IsZero() && !v.CurrentAt.After(s.now())
	var err error
	switch {
	case v.Number == 0: // there was none
	case !begun:
		err = s.store.DropMaterial(ctx, k.ID, v.Number, v.ObjectID, s.now())
	case v.ObjectID != nil:
		err = s.store.ReplaceMaterial(ctx, k.ID, v.Number, v.ObjectID, forget, s.now())
	}
	if err != nil || v.ObjectID == nil {
		return err
	}
	s.forgetObject(v.ObjectID)
	if token, missing := s.tokenOf(k); missing == nil {
		s.discard(token, v.ObjectID)
	}
	return nil
}
