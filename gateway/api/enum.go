package api

// KeySpec names the type of a key.
type KeySpec string

// The key specs.
const (
	RSA2048 KeySpec = "RSA_2048"
	RSA3072 KeySpec = "RSA_3072"
	RSA4096 KeySpec = "RSA_4096"
	P256    KeySpec = "ECC_NIST_P256"
	P384    KeySpec = "ECC_NIST_P384"
	P521    KeySpec = "ECC_NIST_P521"
	P256K1  KeySpec = "ECC_SECG_P256K1"
	Ed25519 KeySpec = "ECC_NIST_EDWARDS25519"

	Symmetric KeySpec = "SYMMETRIC_DEFAULT" // AES-256-GCM
	HMAC224   KeySpec = "HMAC_224"
	HMAC256   KeySpec = "HMAC_256"
	HMAC384   KeySpec = "HMAC_384"
	HMAC512   KeySpec = "HMAC_512"
	MLDSA44   KeySpec = "ML_DSA_44"
	MLDSA65   KeySpec = "ML_DSA_65"
	MLDSA87   KeySpec = "ML_DSA_87"
	MLKEM512  KeySpec = "ML_KEM_512"
	MLKEM768  KeySpec = "ML_KEM_768"
	MLKEM1024 KeySpec = "ML_KEM_1024"
	SM2       KeySpec = "SM2" // China Regions only
)

// KeyUsage says what a key may do; it never changes.
type KeyUsage string

// The usages.
const (
	SignVerify             KeyUsage = "SIGN_VERIFY"
	EncryptDecrypt         KeyUsage = "ENCRYPT_DECRYPT"
	GenerateVerifyMac      KeyUsage = "GENERATE_VERIFY_MAC"
	KeyAgreement           KeyUsage = "KEY_AGREEMENT"
	EncapsulateDecapsulate KeyUsage = "ENCAPSULATE_DECAPSULATE"
)

// Origin says where key material came from.
type Origin string

// The origins.
const (
	OriginAWSKMS           Origin = "AWS_KMS" // made inside the token
	OriginExternal         Origin = "EXTERNAL"
	OriginAWSCloudHSM      Origin = "AWS_CLOUDHSM"
	OriginExternalKeyStore Origin = "EXTERNAL_KEY_STORE"
)

// KeyManager says who decides about a key.
type KeyManager string

// The managers of keys.
const (
	ManagerCustomer KeyManager = "CUSTOMER"
	ManagerAWS      KeyManager = "AWS"
)

// KeyState is a key's place in its life.
type KeyState string

// The states of a key.
const (
	Enabled                KeyState = "Enabled"
	DisabledState          KeyState = "Disabled"
	PendingDeletion        KeyState = "PendingDeletion"
	PendingImport          KeyState = "PendingImport" // it has no material
	PendingReplicaDeletion KeyState = "PendingReplicaDeletion"
	Unavailable            KeyState = "Unavailable" // its custom key store is disconnected
	Creating               KeyState = "Creating"    // of a replica
	Updating               KeyState = "Updating"    // of the primary Region
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
	MLDSASHAKE256   SigningAlgorithm = "ML_DSA_SHAKE_256"
	SM2DSA          SigningAlgorithm = "SM2DSA" // China Regions only
)

// EncryptionAlgorithm names an encryption scheme with its hash.
type EncryptionAlgorithm string

// The encryption algorithms.
const (
	SymmetricDefault EncryptionAlgorithm = "SYMMETRIC_DEFAULT"
	OAEPSHA1         EncryptionAlgorithm = "RSAES_OAEP_SHA_1"
	OAEPSHA256       EncryptionAlgorithm = "RSAES_OAEP_SHA_256"
	SM2PKE           EncryptionAlgorithm = "SM2PKE" // China Regions only
)
