package policy

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// value is what a request holds for a condition key. Which member holds it,
// the kind of the key says.
type value struct {
	present bool
	// ambiguous: the request has several values where the policy asks for one,
	// for example context keys that differ in case alone.
	ambiguous bool

	s    string
	n    float64
	b    bool
	t    time.Time
	ip   netip.Addr
	list []string
	keys map[string]string // a list of several values: the keys of the map
}

func str(s string) value        { return value{present: s != "", s: s} }
func list(l []string) value     { return value{present: len(l) > 0, list: l} }
func number(n int) value        { return value{present: n != 0, n: float64(n)} }
func boolean(b bool) value      { return value{present: true, b: b} }
func flag(f Flag) value         { return value{present: f != Absent, b: f == True} }
func instant(t time.Time) value { return value{present: !t.IsZero(), t: t} }

func keysOf(m map[string]string) value { return value{present: len(m) > 0, keys: m} }

// member finds an entry without regard to case.
func member(m map[string]string, key string) (v value) {
	for k, s := range m {
		if strings.EqualFold(k, key) {
			v.ambiguous = v.present
			v.present, v.s = true, s
			if v.ambiguous {
				return v
			}
		}
	}
	return v
}

func claim(m map[string][]string, name string) (v value) {
	for k, l := range m {
		if strings.EqualFold(k, name) && len(l) > 0 {
			if v.present {
				v.ambiguous = true
				return v
			}
			v.present, v.list = true, l
		}
	}
	return v
}

// lookup finds the value of a condition key in the request.
func (e *evaluation) lookup(k keyRef) value {
	switch {
	case k.id >= keyClaim:
		return e.lookupOwn(k)
	case k.id >= keyPrincipalArn:
		return e.lookupGlobal(k)
	case k.id >= keyRequestAlias:
		return e.lookupKMS(k)
	}
	return e.lookupUse(k)
}

// lookupUse finds the keys that say which key is used, and how.
func (e *evaluation) lookupUse(k keyRef) value {
	c, key := &e.r.Call, e.r.Key
	if key == nil {
		key = &noKey
	}
	switch k.id {
	case keySigningAlgorithm:
		return str(c.SigningAlgorithm)
	case keyEncryptionAlgorithm:
		return str(c.EncryptionAlgorithm)
	case keyMacAlgorithm:
		return str(c.MacAlgorithm)
	case keyKeyAgreementAlgorithm:
		return str(c.KeyAgreementAlgorithm)
	case keyMessageType:
		return str(c.MessageType)
	case keyKeySpec, keyCustomerMasterKeySpec:
		return str(key.Spec)
	case keyKeyUsage, keyCustomerMasterKeyUsage:
		return str(key.Usage)
	case keyKeyOrigin:
		return str(key.Origin)
	}
	return value{}
}

var noKey Key

func (e *evaluation) lookupKMS(k keyRef) value {
	c, key := &e.r.Call, e.r.Key
	if key == nil {
		key = &noKey
	}
	switch k.id {
	case keyRequestAlias:
		return str(c.RequestAlias)
	case keyResourceAliases:
		return list(key.Aliases)
	case keyEncryptionContext:
		return member(c.EncryptionContext, k.rest)
	case keyEncryptionContextKeys:
		return keysOf(c.EncryptionContext)
	case keyGrantOperations:
		return list(c.GrantOperations)
	case keyGranteePrincipal:
		return str(c.GranteePrincipal)
	case keyRetiringPrincipal:
		return str(c.RetiringPrincipal)
	case keyGrantConstraintType:
		return str(c.GrantConstraintType)
	case keyGrantIsForAWSResource:
		return flag(c.GrantIsForAWSResource)
	case keyDataKeyPairSpec:
		return str(c.DataKeyPairSpec)
	case keyRotationPeriodInDays:
		return number(c.RotationPeriodInDays)
	case keyPendingWindowInDays:
		return number(c.PendingWindowInDays)
	case keyValidTo:
		return instant(c.ValidTo)
	case keyWrappingAlgorithm:
		return str(c.WrappingAlgorithm)
	case keyWrappingKeySpec:
		return str(c.WrappingKeySpec)
	case keyMultiRegion:
		return flag(key.MultiRegion)
	case keyMultiRegionKeyType:
		return str(key.MultiRegionKeyType)
	case keyPrimaryRegion:
		return str(c.PrimaryRegion)
	case keyReplicaRegion:
		return str(c.ReplicaRegion)
	case keyExpirationModel:
		return str(c.ExpirationModel)
	case keyReEncryptOnSameKey:
		return flag(c.ReEncryptOnSameKey)
	case keyBypassPolicyLockoutSafetyCheck:
		return flag(c.BypassPolicyLockoutSafetyCheck)
	case keyCallerAccount:
		return e.ofCaller(e.account)
	case keyViaService:
		return str(e.r.Caller.ViaService)
	}
	return value{}
}

func (e *evaluation) lookupGlobal(k keyRef) value {
	r := e.r
	switch k.id {
	case keyPrincipalArn:
		return e.ofCaller(principalARN(r.Principal.ARN))
	case keyPrincipalAccount:
		return e.ofCaller(e.account)
	case keyPrincipalType:
		return str(principalType(r.Principal.ARN))
	case keyUserID:
		return str(r.Principal.ID)
	case keyUserName:
		return str(userName(r.Principal.ARN))
	case keyPrincipalTag:
		return member(r.Principal.Tags, k.rest)
	case keyResourceTag:
		if r.Key != nil {
			return member(r.Key.Tags, k.rest)
		}
	case keyRequestTag:
		return member(r.Call.Tags, k.rest)
	case keyTagKeys:
		if r.Call.TagKeys != nil {
			return list(r.Call.TagKeys)
		}
		return keysOf(r.Call.Tags)
	case keySourceIP:
		return value{present: r.Caller.SourceIP.IsValid(), ip: r.Caller.SourceIP.Unmap().WithZone("")} // a range contains no address with a zone
	case keyCurrentTime:
		return instant(r.Time)
	case keyEpochTime:
		v := instant(r.Time.Truncate(time.Second))
		v.n = float64(r.Time.Unix())
		return v
	case keySecureTransport:
		return boolean(r.Caller.SecureTransport)
	case keyUserAgent:
		return str(r.Caller.UserAgent)
	case keyRequestedRegion:
		return str(r.Caller.Region)
	case keyResourceAccount:
		return str(e.keyAccount)
	}
	return value{}
}

func (e *evaluation) lookupOwn(k keyRef) value {
	p, c := &e.r.Principal, &e.r.Call
	switch k.id {
	case keyClaim:
		return claim(p.Claims, k.rest)
	case keyCertificateSubject:
		return str(p.CertificateSubject)
	case keyCertificateSAN:
		return list(p.CertificateSANs)
	case keyArtifactName:
		return str(c.ArtifactName)
	case keyArtifactVersion:
		return str(c.ArtifactVersion)
	case keyArtifactDigest:
		return str(c.ArtifactDigest)
	case keyArtifactRepository:
		return str(c.ArtifactRepository)
	case keyArtifactCommit:
		return str(c.ArtifactCommit)
	case keyArtifactRun:
		return str(c.ArtifactRun)
	case keySigningContext:
		return member(c.SigningContext, k.rest)
	case keySigningContextKeys:
		return keysOf(c.SigningContext)
	}
	return value{}
}

// text is the value as a policy variable puts it; not ok when there is none, or
// more than one.
func (v *value) text(k valueKind) (string, bool) {
	switch {
	case !v.present || v.ambiguous || len(v.list) > 1:
		return "", false
	case len(v.list) == 1:
		return v.list[0], true
	}
	switch k {
	case kindNumber, kindEpoch:
		return strconv.FormatFloat(v.n, 'f', -1, 64), true
	case kindDate:
		return v.t.UTC().Format(time.RFC3339), true
	case kindBool:
		return strconv.FormatBool(v.b), true
	case kindIP:
		return v.ip.String(), true
	}
	return v.s, true
}

// ofCaller is a value that a caller without a credential has not: his ARN is there for the log, and he is of no account.
func (e *evaluation) ofCaller(s string) value {
	if e.anonymous {
		return value{}
	}
	return str(s)
}

// userName is the friendly name of an IAM user, "" for any other principal
// (IAM User Guide, reference_policies_variables, Principal key values).
func userName(arn string) string {
	if part(arn, partService) != "iam" {
		return ""
	}
	path, ok := strings.CutPrefix(part(arn, partResource), "user/")
	if !ok {
		return ""
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}

func principalType(arn string) string {
	switch kind, _, _ := strings.Cut(part(arn, partResource), "/"); kind {
	case "root":
		return "Account"
	case "user":
		return "User"
	case "assumed-role":
		return "AssumedRole"
	case "federated-user":
		return "FederatedUser"
	case anonymous:
		return "Anonymous"
	}
	return ""
}

// principalARN is aws:PrincipalArn: of a role's session, it is the role's (IAM
// User Guide, reference_policies_condition-keys, aws:PrincipalArn).
func principalARN(arn string) string {
	if role := RoleOf(arn); role != "" {
		return role
	}
	return arn
}
