package gateway

import (
	"crypto"
	_ "crypto/sha1" //nolint:gosec // OAEP with SHA-1 is an algorithm of AWS KMS; there it need not resist collisions
	_ "crypto/sha256"
	_ "crypto/sha512"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

var (
	rsaSigning    = []api.SigningAlgorithm{api.PKCS1SHA256, api.PKCS1SHA384, api.PKCS1SHA512, api.PSSSHA256, api.PSSSHA384, api.PSSSHA512}
	rsaEncryption = []api.EncryptionAlgorithm{api.OAEPSHA1, api.OAEPSHA256}
)

// signingAlgorithms of each key spec, in the order in which AWS lists them. Some
// clients sign with the first.
var signingAlgorithms = map[api.KeySpec][]api.SigningAlgorithm{
	api.RSA2048: rsaSigning,
	api.RSA3072: rsaSigning,
	api.RSA4096: rsaSigning,
	api.P256:    {api.ECDSASHA256},
	api.P384:    {api.ECDSASHA384},
	api.P521:    {api.ECDSASHA512},
	api.P256K1:  {api.ECDSASHA256},
	api.Ed25519: {api.Ed25519SHA512, api.Ed25519PHSHA512},
	api.MLDSA44: {api.MLDSASHAKE256},
	api.MLDSA65: {api.MLDSASHAKE256},
	api.MLDSA87: {api.MLDSASHAKE256},
}

// encryptionAlgorithms of each key spec.
var encryptionAlgorithms = map[api.KeySpec][]api.EncryptionAlgorithm{
	api.RSA2048:   rsaEncryption,
	api.RSA3072:   rsaEncryption,
	api.RSA4096:   rsaEncryption,
	api.Symmetric: {api.SymmetricDefault},
}

// macAlgorithms of each key spec.
var macAlgorithms = map[api.KeySpec]api.MacAlgorithm{
	api.HMAC224: api.HMACSHA224,
	api.HMAC256: api.HMACSHA256,
	api.HMAC384: api.HMACSHA384,
	api.HMAC512: api.HMACSHA512,
}

// algorithms are what a key can do by its usage: one of the lists.
type algorithms struct {
	signing       []api.SigningAlgorithm
	encryption    []api.EncryptionAlgorithm
	mac           []api.MacAlgorithm
	agreement     []api.KeyAgreementAlgorithm
	encapsulation []api.EncapsulationAlgorithm
}

func (a algorithms) describe(m *api.KeyMetadata) {
	m.SigningAlgorithms, m.EncryptionAlgorithms, m.MacAlgorithms = a.signing, a.encryption, a.mac
	m.KeyAgreementAlgorithms, m.EncapsulationAlgorithms = a.agreement, a.encapsulation
}

// algorithms lists what a key can do, less what the token cannot.
func (s *Service) algorithms(k *store.Key) (a algorithms) {
	spec := api.KeySpec(k.Spec)
	switch api.KeyUsage(k.Usage) {
	case api.EncryptDecrypt:
		a.encryption = encryptionAlgorithms[spec]
	case api.GenerateVerifyMac:
		a.mac = []api.MacAlgorithm{macAlgorithms[spec]}
	case api.KeyAgreement:
		a.agreement = []api.KeyAgreementAlgorithm{api.ECDH}
	case api.EncapsulateDecapsulate:
		a.encapsulation = []api.EncapsulationAlgorithm{api.MLKEM}
	case api.SignVerify:
		a.signing = s.signing(k)
	}
	return a
}

// signing lists the algorithms that the token of a key can do; all while it is away.
func (s *Service) signing(k *store.Key) []api.SigningAlgorithm {
	all := signingAlgorithms[api.KeySpec(k.Spec)]
	token, err := s.tokenOf(k)
	if err != nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(a api.SigningAlgorithm) bool {
		return token.SupportsSign(hsm.KeySpec(k.Spec), mechanisms[a]) != nil
	})
}

// mechanisms gives each signing algorithm its scheme in the token. The hash of
// an Ed25519 or ML-DSA algorithm is its own.
var mechanisms = map[api.SigningAlgorithm]hsm.SignMechanism{
	api.PKCS1SHA256:     {Scheme: hsm.PKCS1v15, Hash: crypto.SHA256},
	api.PKCS1SHA384:     {Scheme: hsm.PKCS1v15, Hash: crypto.SHA384},
	api.PKCS1SHA512:     {Scheme: hsm.PKCS1v15, Hash: crypto.SHA512},
	api.PSSSHA256:       {Scheme: hsm.PSS, Hash: crypto.SHA256},
	api.PSSSHA384:       {Scheme: hsm.PSS, Hash: crypto.SHA384},
	api.PSSSHA512:       {Scheme: hsm.PSS, Hash: crypto.SHA512},
	api.ECDSASHA256:     {Scheme: hsm.ECDSA, Hash: crypto.SHA256},
	api.ECDSASHA384:     {Scheme: hsm.ECDSA, Hash: crypto.SHA384},
	api.ECDSASHA512:     {Scheme: hsm.ECDSA, Hash: crypto.SHA512},
	api.Ed25519SHA512:   {Scheme: hsm.Ed25519},
	api.Ed25519PHSHA512: {Scheme: hsm.Ed25519ph, Hash: crypto.SHA512},
	api.MLDSASHAKE256:   {Scheme: hsm.MLDSA},
}

// mechanismFor is the mechanism of an algorithm for a message of that type.
func mechanismFor(a api.SigningAlgorithm, t api.MessageType) hsm.SignMechanism {
	if a == api.MLDSASHAKE256 && t == api.ExternalMu {
		return hsm.SignMechanism{Scheme: hsm.MLDSAMu}
	}
	return mechanisms[a]
}

// signsWhole says whether an algorithm signs the message itself and not a digest.
func signsWhole(a api.SigningAlgorithm) bool { return a == api.Ed25519SHA512 || a == api.MLDSASHAKE256 }

// oaepHashes gives each encryption algorithm its hash.
var oaepHashes = map[api.EncryptionAlgorithm]crypto.Hash{
	api.OAEPSHA1:   crypto.SHA1,
	api.OAEPSHA256: crypto.SHA256,
}

func (s *Service) checkUsage(c *Call, k *store.Key, want api.KeyUsage) *api.Error {
	if usage := api.KeyUsage(k.Usage); usage != want {
		return api.Errorf(api.InvalidKeyUsage, "%s key usage is %s which is not valid for %s.", s.arn(k), usage, c.op.Name)
	}
	return nil
}

func incompatible(algorithm string, spec string) *api.Error {
	return api.Errorf(api.InvalidKeyUsage, "Algorithm %s is incompatible with key spec %s.", algorithm, spec)
}

func checkSigning(k *store.Key, a api.SigningAlgorithm) *api.Error {
	if !slices.Contains(signingAlgorithms[api.KeySpec(k.Spec)], a) {
		return incompatible(string(a), k.Spec)
	}
	return nil
}

func checkEncryption(k *store.Key, a api.EncryptionAlgorithm) *api.Error {
	if !slices.Contains(encryptionAlgorithms[api.KeySpec(k.Spec)], a) {
		return incompatible(string(a), k.Spec)
	}
	return nil
}
