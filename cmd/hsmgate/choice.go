package main

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// What flags may be set to.
var (
	keySpecs = []api.KeySpec{api.RSA2048, api.RSA3072, api.RSA4096, api.P256, api.P384, api.P521, api.P256K1, api.Ed25519,
		api.MLDSA44, api.MLDSA65, api.MLDSA87, api.MLKEM512, api.MLKEM768, api.MLKEM1024,
		api.Symmetric, api.HMAC224, api.HMAC256, api.HMAC384, api.HMAC512}
	keyUsages  = []api.KeyUsage{api.SignVerify, api.EncryptDecrypt, api.GenerateVerifyMac, api.KeyAgreement, api.EncapsulateDecapsulate}
	signatures = []api.SigningAlgorithm{api.PSSSHA256, api.PSSSHA384, api.PSSSHA512, api.PKCS1SHA256, api.PKCS1SHA384, api.PKCS1SHA512,
		api.ECDSASHA256, api.ECDSASHA384, api.ECDSASHA512, api.Ed25519SHA512, api.Ed25519PHSHA512, api.MLDSASHAKE256}
	ciphers   = []api.EncryptionAlgorithm{api.SymmetricDefault, api.OAEPSHA1, api.OAEPSHA256}
	grantable = []api.GrantOperation{api.GrantDecrypt, api.GrantEncrypt, api.GrantGenerateDataKey, api.GrantGenerateDataKeyWithoutPlaintext,
		api.GrantReEncryptFrom, api.GrantReEncryptTo, api.GrantSign, api.GrantVerify, api.GrantGetPublicKey, api.GrantCreateGrant,
		api.GrantRetireGrant, api.GrantDescribeKey, api.GrantGenerateDataKeyPair, api.GrantGenerateDataKeyPairWithoutPlaintext,
		api.GrantGenerateMac, api.GrantVerifyMac, api.GrantDeriveSharedSecret, api.GrantEncapsulate, api.GrantDecapsulate}
	macs = []api.MacAlgorithm{api.HMACSHA224, api.HMACSHA256, api.HMACSHA384, api.HMACSHA512}
)

// usageOf is the usage of a key spec unless another is asked for.
func usageOf(spec api.KeySpec) api.KeyUsage {
	switch spec {
	case api.Symmetric:
		return api.EncryptDecrypt
	case api.HMAC224, api.HMAC256, api.HMAC384, api.HMAC512:
		return api.GenerateVerifyMac
	case api.MLKEM512, api.MLKEM768, api.MLKEM1024:
		return api.EncapsulateDecapsulate
	}
	return api.SignVerify
}

// oneOf reads the value of a flag. An empty one is its default.
func oneOf[T ~string](flag, value string, choices []T) (T, error) {
	if value == "" || slices.Contains(choices, T(value)) {
		return T(value), nil
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	return "", usagef("--%s is one of %s, not %q", flag, strings.Join(names, ", "), value)
}

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]+$`)

// checkAlias refuses what is no name for a key, before a key is made for it.
func checkAlias(name string) error {
	switch {
	case !aliasName.MatchString(name) || len(name) > 256:
		return usagef("%q is not an alias: alias/ is followed by letters, digits, / _ and -, at most 256 bytes in all", name)
	case strings.HasPrefix(name, "alias/aws/"):
		return usagef("%q is not to be had: names that begin with alias/aws/ are reserved", name)
	}
	return nil
}

// keyID makes the id of an alias, by one call, for the operations that take ids
// and ARNs alone.
func keyID(ctx context.Context, c *client.Client, ref string) (string, error) {
	if !strings.HasPrefix(ref, "alias/") && !strings.Contains(ref, ":alias/") {
		return ref, nil
	}
	out, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: target(ref)})
	if err != nil {
		return "", err
	}
	return out.KeyMetadata.KeyId, nil
}
