package policy

import (
	"slices"
	"strings"
)

// aboutNoKey are the actions that are for the service itself: only Resource "*"
// means them, and no key policy decides on them.
var aboutNoKey = setOf("kms:ConnectCustomKeyStore", "kms:CreateCustomKeyStore", "kms:CreateKey", "kms:DeleteCustomKeyStore",
	"kms:DescribeCustomKeyStores", "kms:DisconnectCustomKeyStore", "kms:GenerateRandom", "kms:ListAliases", "kms:ListKeys",
	"kms:ListRetirableGrants", "kms:UpdateCustomKeyStore", "hsmgate:CreatePrincipal", "hsmgate:ExplainAccess", "hsmgate:GetMetrics",
	"hsmgate:GetReceipt", "hsmgate:GetUsage", "hsmgate:ListPublications", "hsmgate:ReadLog")

// aboutCallers are the actions that are for a user or a role: who may do one for
// another caller can act as that one.
var aboutCallers = setOf("sts:*", "hsmgate:*AccessKey*")

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
	onKeys     = aboutNoKey.with(aboutCallers).others()
	allActions = actionSet{}.others()
	describes  = onKeys.with(setOf("kms:CreateKey"))
	throughAny = encrypts.with(macs).with(setOf("kms:Sign", "kms:Verify", "hsmgate:SignBatch", "kms:DescribeKey", "kms:GetPublicKey",
		"kms:DeriveSharedSecret", "kms:Encapsulate", "kms:Decapsulate", "hsmgate:*Approv*",
		"hsmgate:PublishKey", "hsmgate:UnpublishKey"))
)

// only says which actions' requests can have a condition key; one that is not here
// is on every request. docs/policy-language.md has it for people.
var only = map[keyID]actionSet{
	keySigningAlgorithm: signs, keyMessageType: signs,
	keyArtifactName: signs, keyArtifactVersion: signs, keyArtifactDigest: signs, keyArtifactRepository: signs, keyArtifactCommit: signs, keyArtifactRun: signs,
	keySigningContext: signs, keySigningContextKeys: signs,
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
	keyResourceTag: onKeys, keyResourceAliases: onKeys, keyResourceAccount: onKeys.with(aboutCallers),
	keyRequestAlias: throughAny,
	keyViaService:   {},
}

// always are the keys that each request of their actions has, beside those of
// every request.
var always = map[keyID]actionSet{
	keySigningAlgorithm: setOf("kms:Sign", "kms:Verify"), keyMessageType: setOf("kms:Sign", "kms:Verify"),
	keyEncryptionAlgorithm: encrypts, keyMacAlgorithm: macs, keyKeyAgreementAlgorithm: setOf("kms:DeriveSharedSecret"),
	keyDataKeyPairSpec: setOf("kms:GenerateDataKeyPair*"), keyReEncryptOnSameKey: setOf("kms:ReEncrypt*"),
	keyGrantOperations: grants, keyGranteePrincipal: grants,
	keyGrantIsForAWSResource: grants.with(setOf("kms:ListGrants", "kms:RevokeGrant")),
	keyRotationPeriodInDays:  setOf("kms:EnableKeyRotation"), keyPendingWindowInDays: setOf("kms:ScheduleKeyDeletion"),
	keyExpirationModel:   setOf("kms:ImportKeyMaterial"),
	keyWrappingAlgorithm: setOf("kms:GetParametersForImport"), keyWrappingKeySpec: setOf("kms:GetParametersForImport"),
	keyPrimaryRegion: setOf("kms:UpdatePrimaryRegion"), keyReplicaRegion: setOf("kms:ReplicateKey"),
	keyTagKeys: setOf("kms:TagResource", "kms:UntagResource"), // without one, they do nothing
	keyKeySpec: describes, keyKeyUsage: describes, keyKeyOrigin: describes, keyMultiRegion: describes,
	keyCustomerMasterKeySpec: describes, keyCustomerMasterKeyUsage: describes,
	keySourceIP: allActions, keyCurrentTime: allActions, keyEpochTime: allActions, keyRequestedRegion: allActions,
}

// Missing names the condition keys that the request's policies ask for, that every
// real request of its action has, and that this one has not: a decision on it is
// none on a real call.
func (r *Request) Missing() (names []string) {
	e := begin(r)
	docs := []*Document{r.KeyPolicy}
	for _, a := range r.Principal.Policies {
		docs = append(docs, a.doc)
	}
	for _, d := range docs {
		if d == nil || e.action < 0 {
			continue
		}
		for i := range d.statements {
			if !d.statements[i].effective().has(e.action) {
				continue
			}
			for k := range d.statements[i].asks {
				if v := e.lookup(k); always[k.id].has(e.action) && !v.present && !slices.Contains(names, k.String()) {
					names = append(names, k.String())
				}
			}
		}
	}
	return names
}

// asks yields the condition keys that a statement looks at, in conditions and in
// policy variables.
func (s *statement) asks(yield func(keyRef) bool) {
	patterns := s.resources
	for i := range s.conditions {
		if !yield(s.conditions[i].key) {
			return
		}
		patterns = append(slices.Clip(patterns), s.conditions[i].patterns...)
	}
	for _, p := range patterns {
		for _, t := range p.tokens {
			if t.kind == variable && !yield(t.key) {
				return
			}
		}
	}
}

// AsksTag reports whether who may use a key depends on its tag of that name.
func (d *Document) AsksTag(name string) bool {
	return d.asksFor(func(k keyRef) bool { return k.id == keyResourceTag && strings.EqualFold(k.rest, name) })
}

// AsksAlias reports whether who may use a key depends on its aliases.
func (d *Document) AsksAlias() bool {
	return d.asksFor(func(k keyRef) bool { return k.id == keyResourceAliases || k.id == keyRequestAlias })
}

func (d *Document) asksFor(wanted func(keyRef) bool) bool {
	for i := range d.statements {
		for k := range d.statements[i].asks {
			if wanted(k) {
				return true
			}
		}
	}
	return false
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
