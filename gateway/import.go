package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// Imports says how key material is brought in.
type Imports struct {
	// AllowInMemory lets material that the token cannot unwrap by itself be
	// unwrapped in the memory of this process, which has it in clear for a moment
	// then. Without it, such an import is refused.
	AllowInMemory bool `yaml:"allow_in_memory"`
}

const (
	importValidity  = 24 * time.Hour // of import parameters, as in AWS KMS
	importTokenSize = 64             // bytes
	maxImportKeys   = 5              // sets of parameters of one key that are out at once
	longestImport   = 365 * day      // that material may be valid for, as in AWS KMS
)

// wrappingBits are the lengths of wrapping keys.
var wrappingBits = map[api.WrappingKeySpec]int{api.WrappingRSA2048: 2048, api.WrappingRSA3072: 3072, api.WrappingRSA4096: 4096}

// wrapAlgorithms are the ways to wrap, in the words of the token.
var wrapAlgorithms = map[api.WrappingAlgorithm]hsm.WrapAlgorithm{
	api.WrapOAEPSHA1: hsm.WrapOAEPSHA1, api.WrapOAEPSHA256: hsm.WrapOAEPSHA256,
	api.WrapRSAAESSHA1: hsm.WrapAESSHA1, api.WrapRSAAESSHA256: hsm.WrapAESSHA256,
}

// checkWrapping refuses parameters under which the key's material cannot come.
func checkWrapping(c *Call, how api.WrappingAlgorithm, spec api.WrappingKeySpec) *api.Error {
	oaep := how == api.WrapOAEPSHA1 || how == api.WrapOAEPSHA256
	switch {
	case wrapAlgorithms[how] == "":
		return api.Errorf(api.UnsupportedOperation, "WrappingAlgorithm %s is not supported. Choose RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1, RSA_AES_KEY_WRAP_SHA_256 or RSA_AES_KEY_WRAP_SHA_1.", how)
	case wrappingBits[spec] == 0:
		return api.Errorf(api.UnsupportedOperation, "WrappingKeySpec %s is not supported. Choose RSA_2048, RSA_3072 or RSA_4096.", spec)
	case oaep && isRSA(api.KeySpec(c.key.Spec)):
		return api.Errorf(api.UnsupportedOperation, "WrappingAlgorithm %s is not for key material of spec %s, which is too long for it. Choose RSA_AES_KEY_WRAP_SHA_256 or RSA_AES_KEY_WRAP_SHA_1.", how, c.key.Spec)
	}
	return nil
}

func isRSA(spec api.KeySpec) bool {
	return spec == api.RSA2048 || spec == api.RSA3072 || spec == api.RSA4096
}

// newImportToken makes the token that stands for one wrapping pair, and the id by
// which the pair is found: the database alone does not tell the token.
func newImportToken() (token []byte, id string) {
	token = make([]byte, importTokenSize)
	rand.Read(token) // never fails: crypto/rand ends the process instead
	return token, importID(token)
}

func importID(token []byte) string {
	sum := sha256.Sum256(token)
	return hex.EncodeToString(sum[:])
}

// importKey finds the wrapping pair of an import token of the call's key.
func (s *Service) importKey(c *Call, token []byte) (*store.ImportKey, *api.Error) {
	id := importID(token)
	p, ok := s.store.ImportKey(id)
	if !ok || subtle.ConstantTimeCompare([]byte(p.ID), []byte(id)) != 1 || p.KeyID != c.key.ID || p.Region != c.key.Region {
		return nil, invalidImportToken(c)
	}
	if !s.now().Before(p.ExpiresAt) {
		return nil, api.Errorf(api.ExpiredImportToken, "The import token expired at %s. Get new ones: GetParametersForImport.", p.ExpiresAt.Format(time.RFC3339))
	}
	return p, nil
}

func invalidImportToken(c *Call) *api.Error {
	return api.Errorf(api.InvalidImportToken, "The import token is not one of %s, or a newer one took its place. Get new ones: GetParametersForImport.", c.record.KeyARN)
}

// wrappingKey is the token's key pair of an import key.
func (s *Service) wrappingKey(c *Call, p *store.ImportKey) (*hsm.Key, *api.Error) {
	if key, ok := s.keys.Load(string(p.ObjectID)); ok {
		return key.(*hsm.Key), nil
	}
	key, err := hsm.NewKey(p.ObjectID, hsm.KeySpec(p.Spec), p.PublicKey)
	if err != nil {
		return nil, internal(c.RequestID, err)
	}
	kept, _ := s.keys.LoadOrStore(string(p.ObjectID), key)
	return kept.(*hsm.Key), nil
}

// dropOldest takes the oldest parameters of a key back where there are too many.
func (s *Service) dropOldest(ctx context.Context, k *store.Key) {
	own := slices.DeleteFunc(s.store.ImportKeys(), func(p *store.ImportKey) bool { return p.KeyID != k.ID })
	slices.SortFunc(own, func(a, b *store.ImportKey) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	for _, p := range own[:max(len(own)-maxImportKeys, 0)] {
		if err := s.store.DeleteImportKey(ctx, p.ID, s.now()); err != nil {
			s.log.Error("import parameters that are too many stay until they expire", logKey(k.ID, err)...)
		}
	}
}

// expiry is when the material of an import expires; zero: never.
func (s *Service) expiry(in *api.ImportKeyMaterialRequest) (time.Time, *api.Error) {
	switch {
	case in.ExpirationModel == api.KeyMaterialDoesNotExpire && in.ValidTo != nil:
		return time.Time{}, api.Errorf(api.Validation, "ValidTo goes with the ExpirationModel KEY_MATERIAL_EXPIRES only. Leave it out.")
	case in.ExpirationModel == api.KeyMaterialDoesNotExpire:
		return time.Time{}, nil
	case in.ValidTo == nil:
		return time.Time{}, api.Errorf(api.Validation, "The ExpirationModel KEY_MATERIAL_EXPIRES, which is the default, needs ValidTo. Or choose KEY_MATERIAL_DOES_NOT_EXPIRE.")
	case !in.ValidTo.After(s.now()):
		return time.Time{}, api.Errorf(api.Validation, "ValidTo %s is not in the future.", in.ValidTo.UTC().Format(time.RFC3339))
	case in.ValidTo.After(s.now().Add(longestImport)):
		return time.Time{}, api.Errorf(api.Validation, "ValidTo %s is more than 365 days away.", in.ValidTo.UTC().Format(time.RFC3339))
	}
	return in.ValidTo.Time, nil
}

// expirationOf tells what expiry says of a version.
func expirationOf(v store.Version) (api.ExpirationModel, *api.Time) {
	if v.ExpiresAt.IsZero() {
		return api.KeyMaterialDoesNotExpire, nil
	}
	return api.KeyMaterialExpires, api.NewTime(v.ExpiresAt)
}

// waiting is the imported material that waits for a rotation.
func waiting(k *store.Key) (store.Version, bool) {
	if n := len(k.Versions); n > 0 && k.Versions[n-1].CurrentAt.IsZero() {
		return k.Versions[n-1], true
	}
	return store.Version{}, false
}

// versionOf finds the version of a key that has the material of an object.
func (s *Service) versionOf(ctx context.Context, token *hsm.Token, k *store.Key, object []byte, made hsm.Imported) (store.Version, bool, error) {
	for _, v := range k.Versions {
		if !hsm.SameForm(v.Check, made.Check) {
			continue
		}
		same := made.Public != nil && bytes.Equal(v.PublicKey, made.Public)
		if made.Public == nil {
			var err error
			if same, err = token.SameSecret(ctx, object, hsm.KeySpec(k.Spec), v.Check); err != nil {
				return v, false, err
			}
		}
		if same {
			return v, true, nil
		}
	}
	return store.Version{}, false, nil
}

// importFailure tells what is wrong with an import that the token did not take.
func (s *Service) importFailure(c *Call, cause error) *api.Error {
	var e *hsm.Error
	errors.As(cause, &e)
	var out *api.Error
	switch {
	case errors.Is(cause, hsm.ErrUnsupported) && e != nil:
		out = api.Errorf(api.UnsupportedOperation, "The token does not import this: %s. What to do: %s. Imports through memory are import.allow_in_memory in the settings of the gateway.", e.Detail, e.Advice)
	case errors.Is(cause, hsm.ErrInvalid) && e != nil:
		out = api.Errorf(api.IncorrectKeyMaterial, "The key material is not what the key takes: %s.", e.Detail)
	case errors.Is(cause, hsm.ErrBadCiphertext):
		out = api.Errorf(api.InvalidCiphertext, "The encrypted key material cannot be decrypted: it was not wrapped under the public key of this import token by its algorithm, or was changed.")
	case errors.Is(cause, hsm.ErrKeyMissing):
		out = invalidImportToken(c)
	default:
		return s.tokenError(c, cause)
	}
	out.Cause = cause
	return out
}

// importError answers a change of material that the store did not take.
func (s *Service) importError(c *Call, cause error) *api.Error {
	switch {
	case errors.Is(cause, store.ErrExists), errors.Is(cause, store.ErrState):
		return api.Errorf(api.Conflict, "The key material of %s is being changed by another call. Look at it and try again.", c.record.KeyARN)
	case errors.Is(cause, store.ErrNotFound):
		return api.Errorf(api.NotFound, "Key '%s' does not exist", c.record.KeyARN)
	}
	return internal(c.RequestID, cause)
}

// forget is a version without its material, which may come back.
func forget(v *store.Version) { v.ObjectID, v.ExpiresAt = nil, time.Time{} }

// expireDue takes material away whose time is over, and wrapping pairs that are of
// no more use. From that time on nobody could use them; here their objects are
// doomed, and destroyed with the others that are.
func (s *Service) expireDue(ctx context.Context) {
	seen := make(map[string]bool)
	for _, k := range s.store.AllKeys() {
		if k.Origin != store.OriginExternal || seen[k.ID] {
			continue
		}
		seen[k.ID] = true
		for _, v := range k.Versions {
			if v.ObjectID != nil && !v.Usable(s.now()) {
				s.spaced("expiry of "+hex.EncodeToString(v.ObjectID), k.ID, "expired key material is not removed yet", func() error {
					return s.alone(ctx, k, func(k *store.Key) bool {
						now, there := k.Version(v.Number)
						return there && bytes.Equal(now.ObjectID, v.ObjectID) && !now.Usable(s.now())
					}, func(k *store.Key) error { return s.expire(ctx, k, v) })
				})
			}
		}
	}
	for _, p := range s.store.ImportKeys() {
		if _, there := s.store.Key(p.Region, p.KeyID); there && s.now().Before(p.ExpiresAt) {
			continue
		}
		s.spaced("import key "+p.ID, p.KeyID, "expired import parameters are not removed yet", func() error {
			if err := s.store.DeleteImportKey(ctx, p.ID, s.now()); !overtaken(err) {
				return err
			}
			return nil
		})
	}
}

// expire dooms the object of expired material and records it.
func (s *Service) expire(ctx context.Context, k *store.Key, v store.Version) error {
	c := &Call{RequestID: uuid.NewString(), Face: internalFace, op: &Op{Name: "ExpireKeyMaterial"}, key: k}
	c.record.KeyID, c.record.KeyARN, c.record.Resource, c.record.KeyVersion = k.ID, s.arn(k), s.arn(k), v.Number
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	start := time.Now()
	var failed *api.Error
	if err := s.store.ReplaceMaterial(ctx, k.ID, v.Number, v.ObjectID, forget, s.now()); err != nil {
		failed = s.importError(c, err)
	}
	if err := s.finish(ctx, c, start, failed); err != nil {
		return err
	}
	s.log.Info("imported key material has expired", zap.String("keyId", k.ID), zap.Int("version", v.Number))
	return nil
}
