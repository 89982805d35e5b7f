package api

import "slices"

// Values lists the values of an enumeration of AWS KMS, in the order of its model,
// by the name that it has there; nil if it has none of that name. A value outside
// its set is malformed, one inside may still be unsupported by a key.
func Values(enumeration string) []string { return slices.Clone(values[enumeration]) }

// The sets that requests are checked against.
var (
	keySpecs                = []string{"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"}
	customerMasterKeySpecs  = []string{"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2"}
	keyUsages               = []string{"SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"}
	origins                 = []string{"AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"}
	messageTypes            = []string{"RAW", "DIGEST", "EXTERNAL_MU"}
	signingAlgorithms       = []string{"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512", "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512", "SM2DSA", "ML_DSA_SHAKE_256", "ED25519_SHA_512", "ED25519_PH_SHA_512"}
	encryptionAlgorithms    = []string{"SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"}
	dryRunModifiers         = []string{"IGNORE_CIPHERTEXT"}
	dataKeySpecs            = []string{"AES_256", "AES_128"}
	dataKeyPairSpecs        = []string{"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "SM2", "ECC_NIST_EDWARDS25519", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"}
	macAlgorithms           = []string{"HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"}
	keyAgreementAlgorithms  = []string{"ECDH"}
	encapsulationAlgorithms = []string{"ML_KEM"}
	keyEncryptionMechanisms = []string{"RSAES_OAEP_SHA_256"}
	grantOperations         = []string{"Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo", "Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac", "DeriveSharedSecret", "Encapsulate", "Decapsulate"}
	includeKeyMaterials     = []string{"ALL_KEY_MATERIAL", "ROTATIONS_ONLY"}
	wrappingAlgorithms      = []string{"RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256", "SM2PKE"}
	wrappingKeySpecs        = []string{"RSA_2048", "RSA_3072", "RSA_4096", "SM2"}
	expirationModels        = []string{"KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"}
	importTypes             = []string{"NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"}
	customKeyStoreTypes     = []string{"AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"}
	xksProxyConnectivities  = []string{"PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"}
)

var values = map[string][]string{
	"AlgorithmSpec":              wrappingAlgorithms,
	"CustomKeyStoreType":         customKeyStoreTypes,
	"CustomerMasterKeySpec":      customerMasterKeySpecs,
	"DataKeyPairSpec":            dataKeyPairSpecs,
	"DataKeySpec":                dataKeySpecs,
	"DryRunModifierType":         dryRunModifiers,
	"EncapsulationAlgorithmSpec": encapsulationAlgorithms,
	"EncryptionAlgorithmSpec":    encryptionAlgorithms,
	"ExpirationModelType":        expirationModels,
	"GrantOperation":             grantOperations,
	"ImportType":                 importTypes,
	"IncludeKeyMaterial":         includeKeyMaterials,
	"KeyAgreementAlgorithmSpec":  keyAgreementAlgorithms,
	"KeyEncryptionMechanism":     keyEncryptionMechanisms,
	"KeySpec":                    keySpecs,
	"KeyUsageType":               keyUsages,
	"MacAlgorithmSpec":           macAlgorithms,
	"MessageType":                messageTypes,
	"OriginType":                 origins,
	"SigningAlgorithmSpec":       signingAlgorithms,
	"WrappingKeySpec":            wrappingKeySpecs,
	"XksProxyConnectivityType":   xksProxyConnectivities,

	// In responses only.
	"ConnectionErrorCodeType":       {"INVALID_CREDENTIALS", "CLUSTER_NOT_FOUND", "NETWORK_ERRORS", "INTERNAL_ERROR", "INSUFFICIENT_CLOUDHSM_HSMS", "USER_LOCKED_OUT", "USER_NOT_FOUND", "USER_LOGGED_IN", "SUBNET_NOT_FOUND", "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET", "XKS_PROXY_ACCESS_DENIED", "XKS_PROXY_NOT_REACHABLE", "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND", "XKS_PROXY_INVALID_RESPONSE", "XKS_PROXY_INVALID_CONFIGURATION", "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION", "XKS_PROXY_TIMED_OUT", "XKS_PROXY_INVALID_TLS_CONFIGURATION"},
	"ConnectionStateType":           {"CONNECTED", "CONNECTING", "FAILED", "DISCONNECTED", "DISCONNECTING"},
	"ImportState":                   {"IMPORTED", "PENDING_IMPORT"},
	"KeyLastUsageTrackingOperation": {"Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "ReEncrypt", "Sign", "Verify", "VerifyMac", "Encapsulate", "Decapsulate"},
	"KeyManagerType":                {"AWS", "CUSTOMER"},
	"KeyMaterialState":              {"NON_CURRENT", "CURRENT", "PENDING_ROTATION", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"},
	"KeyState":                      {"Creating", "Enabled", "Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable", "Updating"},
	"MultiRegionKeyType":            {"PRIMARY", "REPLICA"},
	"RotationType":                  {"AUTOMATIC", "ON_DEMAND"},
}
