package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// usages are what a key of each spec may be made for. The first is taken where a
// caller names none and AWS KMS lets him.
var usages = map[api.KeySpec][]api.KeyUsage{
	api.Symmetric: {api.EncryptDecrypt},
	api.HMAC224:   {api.GenerateVerifyMac},
	api.HMAC256:   {api.GenerateVerifyMac},
	api.HMAC384:   {api.GenerateVerifyMac},
	api.HMAC512:   {api.GenerateVerifyMac},
	api.RSA2048:   {api.SignVerify, api.EncryptDecrypt},
	api.RSA3072:   {api.SignVerify, api.EncryptDecrypt},
	api.RSA4096:   {api.SignVerify, api.EncryptDecrypt},
	api.P256:      {api.SignVerify, api.KeyAgreement},
	api.P384:      {api.SignVerify, api.KeyAgreement},
	api.P521:      {api.SignVerify, api.KeyAgreement},
	api.P256K1:    {api.SignVerify},
	api.Ed25519:   {api.SignVerify},
	api.MLDSA44:   {api.SignVerify},
	api.MLDSA65:   {api.SignVerify},
	api.MLDSA87:   {api.SignVerify},
	api.MLKEM512:  {api.EncapsulateDecapsulate},
	api.MLKEM768:  {api.EncapsulateDecapsulate},
	api.MLKEM1024: {api.EncapsulateDecapsulate},
}

// made lists the specs of usages in the order of the AWS model.
func made() string {
	names := slices.DeleteFunc(slices.Clone(api.Values("KeySpec")), func(spec string) bool { return usages[api.KeySpec(spec)] == nil })
	return strings.Join(names, ", ")
}

// newKeyKind checks what CreateKey is asked to make.
func newKeyKind(in *api.CreateKeyRequest) (api.KeySpec, api.KeyUsage, *api.Error) {
	spec := in.KeySpec
	switch {
	case spec != "" && in.CustomerMasterKeySpec != "":
		return "", "", api.Errorf(api.Validation, "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
	case spec == "" && in.CustomerMasterKeySpec != "":
		spec = in.CustomerMasterKeySpec
	case spec == "":
		spec = api.Symmetric
	}
	can := usages[spec]
	switch {
	case can == nil:
		return "", "", api.Errorf(api.UnsupportedOperation, "KeySpec %s is not supported. Choose one of %s.", spec, made())
	case in.KeyUsage == "" && spec == api.Symmetric:
		return spec, can[0], nil
	case in.KeyUsage == "":
		return "", "", api.Errorf(api.Validation, "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	case !slices.Contains(can, in.KeyUsage):
		return "", "", api.Errorf(api.Validation, "KeyUsage %s is not compatible with KeySpec %s", in.KeyUsage, spec)
	}
	return spec, in.KeyUsage, nil
}

// hsmUse is the one thing that the token lets a key do.
func hsmUse(spec api.KeySpec, usage api.KeyUsage) hsm.Use {
	switch usage {
	case api.EncryptDecrypt:
		if spec == api.Symmetric {
			return hsm.UseCipher
		}
		return hsm.UseDecrypt
	case api.GenerateVerifyMac:
		return hsm.UseMAC
	case api.KeyAgreement:
		return hsm.UseAgree
	case api.EncapsulateDecapsulate:
		return hsm.UseDecapsulate
	}
	return hsm.UseSign
}

// isSecret says whether a key has no public half.
func isSecret(spec api.KeySpec) bool { return slices.Contains(hsm.SecretSpecs(), hsm.KeySpec(spec)) }

// makeMaterial makes what a version names in the token, and completes the version.
func makeMaterial(ctx context.Context, token *hsm.Token, k *store.Key, v store.Version) (store.Version, error) {
	spec := api.KeySpec(k.Spec)
	var err error
	if isSecret(spec) {
		v.Check, err = token.GenerateSecret(ctx, hsm.KeySpec(spec), v.ObjectID, k.ID)
	} else {
		v.PublicKey, err = token.Generate(ctx, hsm.KeySpec(spec), hsmUse(spec, api.KeyUsage(k.Usage)), v.ObjectID, k.ID)
	}
	v.MaterialID = materialID(v)
	return v, err
}

// materialID names key material in 64 hex digits: a pair by the SHA-256 of its
// public key, a secret key by chance.
func materialID(v store.Version) string {
	if v.PublicKey != nil {
		sum := sha256.Sum256(v.PublicKey)
		return hex.EncodeToString(sum[:])
	}
	id := make([]byte, sha256.Size)
	rand.Read(id) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(id)
}
