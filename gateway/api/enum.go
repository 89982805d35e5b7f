package api

// KeySpec names the type of a key.
type KeySpec string

// The key specs that the gateway makes.
const (
	RSA2048 KeySpec = "RSA_2048"
	RSA3072 KeySpec = "RSA_3072"
	RSA4096 KeySpec = "RSA_4096"
	P256    KeySpec = "ECC_NIST_P256"
	P384    KeySpec = "ECC_NIST_P384"
	P521    KeySpec = "ECC_NIST_P521"
	P256K1  KeySpec = "ECC_SECG_P256K1"
	Ed25519 KeySpec = "ECC_NIST_EDWARDS25519"
)

// KeyUsage says what a key may do; it never changes.
type KeyUsage string

// The usages of the keys that the gateway makes.
const (
	SignVerify     KeyUsage = "SIGN_VERIFY"
	EncryptDecrypt KeyUsage = "ENCRYPT_DECRYPT"
)

// KeyState is a key's place in its life.
type KeyState string

// The states of a key.
const (
	Enabled         KeyState = "Enabled"
	DisabledState   KeyState = "Disabled"
	PendingDeletion KeyState = "PendingDeletion"
)

// Origin says where a key's material comes from.
type Origin string

// The origins.
const (
	OriginKMS      Origin = "AWS_KMS"      // made inside the token
	OriginExternal Origin = "EXTERNAL"     // imported
	OriginCloudHSM Origin = "AWS_CLOUDHSM" // made inside a token that was asked for by name: a custom key store
)

// MessageType says whether a message still has to be hashed.
type MessageType string

// The message types.
const (
	Raw        MessageType = "RAW"
	Digest     MessageType = "DIGEST"
	ExternalMu MessageType = "EXTERNAL_MU" // ML-DSA only
)

// SigningAlgorithm names a signature scheme with its hash.
type SigningAlgorithm string

// The signing algorithms.
const (
	PSSSHA256       SigningAlgorithm = "RSASSA_PSS_SHA_256"
	PSSSHA384       SigningAlgorithm = "RSASSA_PSS_SHA_384"
	PSSSHA512       SigningAlgorithm = "RSASSA_PSS_SHA_512"
	PKCS1SHA256     SigningAlgorithm = "RSASSA_PKCS1_V1_5_SHA_256"
	PKCS1SHA384     SigningAlgorithm = "RSASSA_PKCS1_V1_5_SHA_384"
	PKCS1SHA512     SigningAlgorithm = "RSASSA_PKCS1_V1_5_SHA_512"
	ECDSASHA256     SigningAlgorithm = "ECDSA_SHA_256"
	ECDSASHA384     SigningAlgorithm = "ECDSA_SHA_384"
	ECDSASHA512     SigningAlgorithm = "ECDSA_SHA_512"
	Ed25519SHA512   SigningAlgorithm = "ED25519_SHA_512"
	Ed25519PHSHA512 SigningAlgorithm = "ED25519_PH_SHA_512"
)

// EncryptionAlgorithm names an encryption scheme with its hash.
type EncryptionAlgorithm string

// The encryption algorithms.
const (
	SymmetricDefault EncryptionAlgorithm = "SYMMETRIC_DEFAULT"
	OAEPSHA1         EncryptionAlgorithm = "RSAES_OAEP_SHA_1"
	OAEPSHA256       EncryptionAlgorithm = "RSAES_OAEP_SHA_256"
)

// The value sets of the AWS model: a value outside its set is malformed, one
// inside may still be unsupported by a key.
var (
	keySpecs             = []string{"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"}
	keyUsages            = []string{"SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"}
	origins              = []string{"AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"}
	messageTypes         = []string{"RAW", "DIGEST", "EXTERNAL_MU"}
	signingAlgorithms    = []string{"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512", "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512", "SM2DSA", "ML_DSA_SHAKE_256", "ED25519_SHA_512", "ED25519_PH_SHA_512"}
	encryptionAlgorithms = []string{"SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"}
	dryRunModifiers      = []string{"IGNORE_CIPHERTEXT"}
)
