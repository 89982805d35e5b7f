package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Set gives a request the values of a condition key, in the words in which a
// policy compares them: truth tables say so what a call has. Principal.Tags,
// Principal.Claims and *r.Key are changed, so they have to be the request's own.
// Keys that follow from the ARNs of the caller and the key cannot be set.
func (r *Request) Set(key string, values ...string) error {
	ref, problem := findKey(key)
	switch {
	case problem != "":
		return fmt.Errorf("policy: %s", problem)
	case len(values) == 0:
		return fmt.Errorf("policy: %s has no value: at least one would be right", key)
	case keys[ref.id].arity == single && len(values) > 1:
		return fmt.Errorf("policy: %s has %d values: one would be right", key, len(values))
	}
	if r.Key == nil {
		r.Key = new(Key)
	}
	if r.setText(ref, values[0]) || r.setPair(ref, values) || r.setList(ref, values) {
		return nil
	}
	ok, right := r.setTyped(ref, values[0])
	switch {
	case right != "":
		return fmt.Errorf("policy: %s has %s: %s would be right", key, quoted(values[0]), right)
	case !ok:
		return fmt.Errorf("policy: %s cannot be set: it follows from the ARNs of the caller and the key", key)
	}
	return nil
}

// setText sets a key that holds one text.
func (r *Request) setText(ref keyRef, text string) bool {
	c, k := &r.Call, r.Key
	at := map[keyID]*string{
		keySigningAlgorithm: &c.SigningAlgorithm, keyEncryptionAlgorithm: &c.EncryptionAlgorithm, keyMacAlgorithm: &c.MacAlgorithm,
		keyKeyAgreementAlgorithm: &c.KeyAgreementAlgorithm, keyMessageType: &c.MessageType, keyRequestAlias: &c.RequestAlias,
		keyDataKeyPairSpec: &c.DataKeyPairSpec, keyWrappingAlgorithm: &c.WrappingAlgorithm, keyWrappingKeySpec: &c.WrappingKeySpec,
		keyExpirationModel: &c.ExpirationModel, keyPrimaryRegion: &c.PrimaryRegion, keyReplicaRegion: &c.ReplicaRegion,
		keyGranteePrincipal: &c.GranteePrincipal, keyRetiringPrincipal: &c.RetiringPrincipal, keyGrantConstraintType: &c.GrantConstraintType,
		keyArtifactName: &c.ArtifactName, keyArtifactVersion: &c.ArtifactVersion, keyArtifactDigest: &c.ArtifactDigest,
		keyArtifactRepository: &c.ArtifactRepository, keyArtifactCommit: &c.ArtifactCommit, keyArtifactRun: &c.ArtifactRun,
		keyKeySpec: &k.Spec, keyCustomerMasterKeySpec: &k.Spec, keyKeyUsage: &k.Usage, keyCustomerMasterKeyUsage: &k.Usage,
		keyKeyOrigin: &k.Origin, keyMultiRegionKeyType: &k.MultiRegionKeyType, keyViaService: &r.Caller.ViaService,
		keyUserAgent: &r.Caller.UserAgent, keyRequestedRegion: &r.Caller.Region,
		keyUserID: &r.Principal.ID, keyCertificateSubject: &r.Principal.CertificateSubject,
	}[ref.id]
	if at != nil {
		*at = text
	}
	return at != nil
}

// setPair sets a key that has more after it.
func (r *Request) setPair(ref keyRef, values []string) bool {
	at := map[keyID]*map[string]string{
		keyEncryptionContext: &r.Call.EncryptionContext, keyPrincipalTag: &r.Principal.Tags, keyResourceTag: &r.Key.Tags,
		keyRequestTag: &r.Call.Tags, keySigningContext: &r.Call.SigningContext,
	}[ref.id]
	switch {
	case at != nil:
		putInto(at, ref.rest, values[0])
	case ref.id == keyClaim:
		putInto(&r.Principal.Claims, ref.rest, values)
	default:
		return false
	}
	return true
}

func putInto[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[key] = v
}

// setList sets a key that has several values.
func (r *Request) setList(ref keyRef, values []string) bool {
	switch ref.id {
	case keyResourceAliases:
		r.Key.Aliases = values
	case keyGrantOperations:
		r.Call.GrantOperations = values
	case keyCertificateSAN:
		r.Principal.CertificateSANs = values
	case keyTagKeys:
		r.Call.TagKeys = values
	case keyEncryptionContextKeys:
		addKeys(&r.Call.EncryptionContext, values)
	case keySigningContextKeys:
		addKeys(&r.Call.SigningContext, values)
	default:
		return false
	}
	return true
}

// addKeys adds the pairs of a context whose values do not matter, and leaves those
// that it has.
func addKeys(m *map[string]string, names []string) {
	for _, name := range names {
		if _, there := (*m)[name]; !there {
			putInto(m, name, "")
		}
	}
}

// setTyped sets a key that holds no text. right says what would be right where the
// value is not.
func (r *Request) setTyped(ref keyRef, text string) (ok bool, right string) {
	c := &r.Call
	switch ref.id {
	case keySourceIP:
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return false, "an address"
		}
		r.Caller.SourceIP = ip
	case keyCurrentTime, keyEpochTime:
		return setTime(&r.Time, text)
	case keyValidTo:
		return setTime(&c.ValidTo, text)
	case keyRotationPeriodInDays:
		return setDays(&c.RotationPeriodInDays, text)
	case keyPendingWindowInDays:
		return setDays(&c.PendingWindowInDays, text)
	case keySecureTransport:
		var f Flag
		ok, right = setFlag(&f, text)
		r.Caller.SecureTransport = f == True
		return ok, right
	}
	at := map[keyID]*Flag{
		keyMultiRegion: &r.Key.MultiRegion, keyGrantIsForAWSResource: &c.GrantIsForAWSResource, keyReEncryptOnSameKey: &c.ReEncryptOnSameKey,
		keyBypassPolicyLockoutSafetyCheck: &c.BypassPolicyLockoutSafetyCheck,
	}[ref.id]
	if at != nil {
		return setFlag(at, text)
	}
	return ref.id == keySourceIP, ""
}

func setTime(at *time.Time, text string) (bool, string) {
	t, ok := parseDate(strings.TrimSpace(text), false)
	if !ok {
		return false, "a date such as 2026-01-31T12:00:00Z or seconds since 1970"
	}
	*at = t
	return true, ""
}

func setDays(at *int, text string) (bool, string) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return false, "a number of days"
	}
	*at = n
	return true, ""
}

func setFlag(at *Flag, text string) (bool, string) {
	if text != "true" && text != "false" {
		return false, "true or false"
	}
	*at = FlagOf(text == "true")
	return true, ""
}
