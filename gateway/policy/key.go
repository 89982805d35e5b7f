package policy

import "strings"

// keyID is a condition key that a policy may name.
type keyID uint8

// keyRef is a condition key in a policy, with what follows a key that ends in
// : or /, for example the tag's key.
type keyRef struct {
	id   keyID
	rest string
}

// valueKind is the type of a condition key's values. It decides which operators
// may compare them.
type valueKind uint8

const (
	kindString valueKind = iota
	kindNumber
	kindDate
	kindBool
	kindIP
	kindARN
	kindEpoch // a date that is a number too
)

// arity says how many values a key may have in one request (IAM User Guide,
// reference_policies_condition-single-vs-multi-valued-context-keys).
type arity uint8

const (
	single arity = iota
	many         // needs ForAnyValue or ForAllValues
	either       // a claim: without a set operator it must have one value
)

const (
	keySigningAlgorithm keyID = iota
	keyEncryptionAlgorithm
	keyMacAlgorithm
	keyKeyAgreementAlgorithm
	keyMessageType
	keyKeySpec
	keyKeyUsage
	keyKeyOrigin
	keyCustomerMasterKeySpec
	keyCustomerMasterKeyUsage
	keyRequestAlias
	keyResourceAliases
	keyEncryptionContext
	keyEncryptionContextKeys
	keyGrantOperations
	keyGranteePrincipal
	keyRetiringPrincipal
	keyGrantConstraintType
	keyGrantIsForAWSResource
	keyDataKeyPairSpec
	keyRotationPeriodInDays
	keyPendingWindowInDays
	keyValidTo
	keyWrappingAlgorithm
	keyWrappingKeySpec
	keyMultiRegion
	keyMultiRegionKeyType
	keyPrimaryRegion
	keyReplicaRegion
	keyExpirationModel
	keyReEncryptOnSameKey
	keyBypassPolicyLockoutSafetyCheck
	keyCallerAccount
	keyViaService
	keyPrincipalArn
	keyPrincipalAccount
	keyPrincipalType
	keyUserID
	keyUserName
	keyPrincipalTag
	keyResourceTag
	keyRequestTag
	keyTagKeys
	keySourceIP
	keyCurrentTime
	keyEpochTime
	keySecureTransport
	keyUserAgent
	keyRequestedRegion
	keyResourceAccount
	keyClaim
	keyCertificateSubject
	keyCertificateSAN
	keyArtifactName
	keyArtifactVersion
	keyArtifactDigest
	keyArtifactRepository
	keyArtifactCommit
	keyArtifactRun
	keySigningContext
	keySigningContextKeys
)

type keyInfo struct {
	name  string // one that ends in : or / needs more after it
	kind  valueKind
	arity arity
}

// keys are the condition keys of AWS KMS (Developer Guide, conditions-kms), the
// global ones that a request to this gateway can have (IAM User Guide,
// reference_policies_condition-keys), and its own.
var keys = [...]keyInfo{
	keySigningAlgorithm:               {name: "kms:SigningAlgorithm"},
	keyEncryptionAlgorithm:            {name: "kms:EncryptionAlgorithm"},
	keyMacAlgorithm:                   {name: "kms:MacAlgorithm"},
	keyKeyAgreementAlgorithm:          {name: "kms:KeyAgreementAlgorithm"},
	keyMessageType:                    {name: "kms:MessageType"},
	keyKeySpec:                        {name: "kms:KeySpec"},
	keyKeyUsage:                       {name: "kms:KeyUsage"},
	keyKeyOrigin:                      {name: "kms:KeyOrigin"},
	keyCustomerMasterKeySpec:          {name: "kms:CustomerMasterKeySpec"},
	keyCustomerMasterKeyUsage:         {name: "kms:CustomerMasterKeyUsage"},
	keyRequestAlias:                   {name: "kms:RequestAlias"},
	keyResourceAliases:                {name: "kms:ResourceAliases", arity: many},
	keyEncryptionContext:              {name: "kms:EncryptionContext:"},
	keyEncryptionContextKeys:          {name: "kms:EncryptionContextKeys", arity: many},
	keyGrantOperations:                {name: "kms:GrantOperations", arity: many},
	keyGranteePrincipal:               {name: "kms:GranteePrincipal", kind: kindARN},
	keyRetiringPrincipal:              {name: "kms:RetiringPrincipal", kind: kindARN},
	keyGrantConstraintType:            {name: "kms:GrantConstraintType"},
	keyGrantIsForAWSResource:          {name: "kms:GrantIsForAWSResource", kind: kindBool},
	keyDataKeyPairSpec:                {name: "kms:DataKeyPairSpec"},
	keyRotationPeriodInDays:           {name: "kms:RotationPeriodInDays", kind: kindNumber},
	keyPendingWindowInDays:            {name: "kms:ScheduleKeyDeletionPendingWindowInDays", kind: kindNumber},
	keyValidTo:                        {name: "kms:ValidTo", kind: kindDate},
	keyWrappingAlgorithm:              {name: "kms:WrappingAlgorithm"},
	keyWrappingKeySpec:                {name: "kms:WrappingKeySpec"},
	keyMultiRegion:                    {name: "kms:MultiRegion", kind: kindBool},
	keyMultiRegionKeyType:             {name: "kms:MultiRegionKeyType"},
	keyPrimaryRegion:                  {name: "kms:PrimaryRegion"},
	keyReplicaRegion:                  {name: "kms:ReplicaRegion"},
	keyExpirationModel:                {name: "kms:ExpirationModel"},
	keyReEncryptOnSameKey:             {name: "kms:ReEncryptOnSameKey", kind: kindBool},
	keyBypassPolicyLockoutSafetyCheck: {name: "kms:BypassPolicyLockoutSafetyCheck", kind: kindBool},
	keyCallerAccount:                  {name: "kms:CallerAccount"},
	keyViaService:                     {name: "kms:ViaService"},
	keyPrincipalArn:                   {name: "aws:PrincipalArn", kind: kindARN},
	keyPrincipalAccount:               {name: "aws:PrincipalAccount"},
	keyPrincipalType:                  {name: "aws:PrincipalType"},
	keyUserID:                         {name: "aws:userid"},
	keyUserName:                       {name: "aws:username"},
	keyPrincipalTag:                   {name: "aws:PrincipalTag/"},
	keyResourceTag:                    {name: "aws:ResourceTag/"},
	keyRequestTag:                     {name: "aws:RequestTag/"},
	keyTagKeys:                        {name: "aws:TagKeys", arity: many},
	keySourceIP:                       {name: "aws:SourceIp", kind: kindIP},
	keyCurrentTime:                    {name: "aws:CurrentTime", kind: kindDate},
	keyEpochTime:                      {name: "aws:EpochTime", kind: kindEpoch},
	keySecureTransport:                {name: "aws:SecureTransport", kind: kindBool},
	keyUserAgent:                      {name: "aws:UserAgent"},
	keyRequestedRegion:                {name: "aws:RequestedRegion"},
	keyResourceAccount:                {name: "aws:ResourceAccount"},
	keyClaim:                          {name: "hsmgate:Claim/", arity: either},
	keyCertificateSubject:             {name: "hsmgate:CertificateSubject"},
	keyCertificateSAN:                 {name: "hsmgate:CertificateSAN", arity: many},
	keyArtifactName:                   {name: "hsmgate:ArtifactName"},
	keyArtifactVersion:                {name: "hsmgate:ArtifactVersion"},
	keyArtifactDigest:                 {name: "hsmgate:ArtifactDigest"},
	keyArtifactRepository:             {name: "hsmgate:ArtifactRepository"},
	keyArtifactCommit:                 {name: "hsmgate:ArtifactCommit"},
	keyArtifactRun:                    {name: "hsmgate:ArtifactRun"},
	keySigningContext:                 {name: "hsmgate:SigningContext:"},
	keySigningContextKeys:             {name: "hsmgate:SigningContextKeys", arity: many},
}

// ConditionKeys lists the condition keys that a policy may name. One that ends in
// : or / needs more after it.
func ConditionKeys() []string {
	names := make([]string, len(keys))
	for i := range keys {
		names[i] = keys[i].name
	}
	return names
}

func (i *keyInfo) open() bool {
	last := i.name[len(i.name)-1]
	return last == ':' || last == '/'
}

// findKey finds a condition key; the names are not case-sensitive, and that
// includes what follows the : or / (IAM User Guide,
// reference_policies_elements_condition; KMS Developer Guide, conditions-kms,
// Case sensitivity of the encryption context condition). problem says what
// would be right when there is none.
func findKey(name string) (ref keyRef, problem string) {
	for id := range keys {
		k := &keys[id]
		switch n := len(k.name); {
		case !k.open() && strings.EqualFold(name, k.name):
			return keyRef{id: keyID(id)}, ""
		case k.open() && len(name) >= n && strings.EqualFold(name[:n], k.name):
			if len(name) == n {
				return keyRef{}, "the condition key " + k.name + " ends too early: " + k.name + "<key> would be right"
			}
			return keyRef{id: keyID(id), rest: name[n:]}, ""
		}
	}
	problem = "unknown condition key " + quoted(name)
	if n := nearest(name, ConditionKeys()); n != "" {
		return keyRef{}, problem + ": " + n + " would be right"
	}
	return keyRef{}, problem + ": a kms:, aws: or hsmgate: key of docs/policy-language.md would be right"
}

// String is the key as a policy would name it.
func (k keyRef) String() string { return keys[k.id].name + k.rest }
