package policy

// aboutNoKey are the actions that are for the service itself: only Resource "*"
// means them, and no key policy decides on them.
var aboutNoKey = setOf("kms:ConnectCustomKeyStore", "kms:CreateCustomKeyStore", "kms:CreateKey", "kms:DeleteCustomKeyStore",
	"kms:DescribeCustomKeyStores", "kms:DisconnectCustomKeyStore", "kms:GenerateRandom", "kms:ListAliases", "kms:ListKeys",
	"kms:ListRetirableGrants", "kms:UpdateCustomKeyStore", "hsmgate:CreatePrincipal", "hsmgate:GetMetrics")

// aboutAliases are the actions that are for an alias, too.
var aboutAliases = setOf("kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias")

var (
	signs      = setOf("kms:Sign", "kms:Verify", "hsmgate:SignBatch")
	encrypts   = setOf("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*")
	contexts   = encrypts.with(setOf("kms:CreateGrant"))
	grants     = setOf("kms:CreateGrant")
	newKeys    = setOf("kms:CreateKey", "kms:ReplicateKey", "kms:TagResource") // which CreateKey with tags asks for, too
	tags       = newKeys.with(setOf("kms:UntagResource"))
	macs       = setOf("kms:GenerateMac", "kms:VerifyMac")
	onKeys     = aboutNoKey.others()
	describes  = onKeys.with(setOf("kms:CreateKey"))
	throughAny = encrypts.with(macs).with(setOf("kms:Sign", "kms:Verify", "hsmgate:SignBatch", "kms:DescribeKey", "kms:GetPublicKey",
		"kms:DeriveSharedSecret", "kms:Encapsulate", "kms:Decapsulate"))
)

// only says which actions' requests can have a condition key; one that is not here
// is on every request. docs/policy-language.md has it for people.
var only = map[keyID]actionSet{
	keySigningAlgorithm: signs, keyMessageType: signs,
	keyArtifactName: signs, keyArtifactVersion: signs, keyArtifactDigest: signs, keySigningContext: signs, keySigningContextKeys: signs,
	keyEncryptionAlgorithm: encrypts, keyEncryptionContext: contexts, keyEncryptionContextKeys: contexts,
	keyMacAlgorithm: macs, keyKeyAgreementAlgorithm: setOf("kms:DeriveSharedSecret"),
	keyDataKeyPairSpec:    setOf("kms:GenerateDataKeyPair*"),
	keyReEncryptOnSameKey: setOf("kms:ReEncrypt*"),
	keyGrantOperations:    grants, keyGranteePrincipal: grants, keyRetiringPrincipal: grants, keyGrantConstraintType: grants,
	keyGrantIsForAWSResource: grants.with(setOf("kms:ListGrants", "kms:RevokeGrant")),
	keyRotationPeriodInDays:  setOf("kms:EnableKeyRotation"),
	keyPendingWindowInDays:   setOf("kms:ScheduleKeyDeletion"),
	keyExpirationModel:       setOf("kms:ImportKeyMaterial"), keyValidTo: setOf("kms:ImportKeyMaterial"),
	keyWrappingAlgorithm: setOf("kms:GetParametersForImport"), keyWrappingKeySpec: setOf("kms:GetParametersForImport"),
	keyPrimaryRegion: setOf("kms:UpdatePrimaryRegion"), keyReplicaRegion: newKeys,
	keyBypassPolicyLockoutSafetyCheck: newKeys.with(setOf("kms:PutKeyPolicy")),
	keyRequestTag:                     newKeys, keyTagKeys: tags,
	keyKeySpec: describes, keyKeyUsage: describes, keyKeyOrigin: describes, keyCustomerMasterKeySpec: describes,
	keyCustomerMasterKeyUsage: describes, keyMultiRegion: describes, keyMultiRegionKeyType: describes,
	keyResourceTag: onKeys, keyResourceAliases: onKeys, keyResourceAccount: onKeys,
	keyRequestAlias: throughAny,
	keyViaService:   {},
}

// always are the keys that each request of their actions has.
var always = map[keyID]actionSet{
	keyGrantOperations: grants,
	keyTagKeys:         setOf("kms:TagResource", "kms:UntagResource"),
}

// MayHave reports whether a request for the action can have a value of the
// condition key. Names that are not known have none.
func MayHave(action, key string) bool {
	ref, problem := findKey(key)
	i, known := actionIndex[action]
	if problem != "" || !known {
		return false
	}
	on, some := only[ref.id]
	return !some || on.has(i)
}

// AboutNoKey reports whether an action is for the service itself.
func AboutNoKey(action string) bool {
	i, known := actionIndex[action]
	return known && aboutNoKey.has(i)
}

// setOf makes the set of actions that patterns mean.
func setOf(patterns ...string) (s actionSet) {
	for _, p := range patterns {
		a, known := compileAction(p)
		if !known {
			panic("policy: no action " + p)
		}
		s = s.with(a.set)
	}
	return s
}

func (s actionSet) with(o actionSet) actionSet    { return actionSet{s[0] | o[0], s[1] | o[1]} }
func (s actionSet) within(o actionSet) actionSet  { return actionSet{s[0] & o[0], s[1] & o[1]} }
func (s actionSet) without(o actionSet) actionSet { return actionSet{s[0] &^ o[0], s[1] &^ o[1]} }
func (s actionSet) empty() bool                   { return s == actionSet{} }

// others is the set of all actions that are not in s.
func (s actionSet) others() (o actionSet) {
	for i := range actions {
		if !s.has(i) {
			o.add(i)
		}
	}
	return o
}

// first names one action of the set; "" for none.
func (s actionSet) first() string {
	for i, a := range actions {
		if s.has(i) {
			return a
		}
	}
	return ""
}
