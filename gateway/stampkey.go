package gateway

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// CheckKey says, before anybody asks for a timestamp, what keeps the authority's key from signing one, and what to do about it; ""
// for nothing. What the token and the policy of the key say is not asked.
func (t *Timestamps) CheckKey(s *store.Store, home Names, now time.Time) (problem, do string) {
	const another = "let timestamp.key name a key that signs, RSA, P-256, P-384 or P-521, and timestamp.certificate_file its certificate"
	ref, err := home.parse(t.Key)
	if err != nil {
		return fmt.Sprintf("timestamp.key: %s", err.Message), "let timestamp.key be the id, ARN or alias of a key in " + home.Region
	}
	k := ref.in(s)
	if k == nil {
		return fmt.Sprintf("timestamp.key: %s", ref.missing().Message), "make the key ('hsmgate key create --spec ECC_NIST_P256'), or an alias of that name ('hsmgate alias create'); or correct timestamp.key"
	}
	arn := home.keyARN(k.ID)
	if api.KeyUsage(k.Usage) != api.SignVerify || stampAlgorithms[api.KeySpec(k.Spec)] == "" {
		return fmt.Sprintf("timestamp.key: %s is of spec %s for %s", arn, k.Spec, k.Usage), another
	}
	if bad := Timestamp.States.check(arn, api.KeyState(k.StateAt(now))); bad != nil {
		return "timestamp.key: " + bad.Message, stateRemedies[k.StateAt(now)]
	}
	if s.Disconnected(k.Token) && k.Token != "" {
		return fmt.Sprintf("timestamp.key: %s is in the key store %s, which is disconnected", arn, k.Token), "ConnectCustomKeyStore puts it back into service"
	}
	if s.ApprovalRule(k.ID) != nil {
		return fmt.Sprintf("timestamp.key: %s has an approval rule, and no approval stands for a timestamp", arn), "use another key for timestamps, or take the rule off: 'hsmgate approval rule delete'"
	}
	v, ok := k.Current(now)
	if !ok {
		return fmt.Sprintf("timestamp.key: %s has no key material now", arn), "import it: 'hsmgate key import'"
	}
	if public, err := x509.ParsePKIXPublicKey(v.PublicKey); err != nil || !samePublicKey(public, t.Certificates[0].PublicKey) {
		return fmt.Sprintf("timestamp.certificate_file: the certificate of %s is not that of %s, version %d", t.Certificates[0].Subject, arn, v.Number),
			"have one issued for the key ('hsmgate certificate csr', 'hsmgate certificate issue --profile timestamping'), and set timestamp.certificate_file"
	}
	return "", ""
}

// Warning is what keeps the authority from what it is to do later, or for some, and what to do about it.
type Warning struct{ Problem, Do string }

// WarnOfKey says of a key with which CheckKey finds nothing wrong what will end its tokens.
func (t *Timestamps) WarnOfKey(s *store.Store, home Names, now time.Time) (all []Warning) {
	k := t.key(s, home)
	if k == nil {
		return nil
	}
	arn := home.keyARN(k.ID)
	if v := announced(k, now); v != nil {
		all = append(all, Warning{fmt.Sprintf("timestamp.key: version %d of %s is in use from %s on, and its certificate is that of another version: no token is given from then on", v.Number, arn, v.CurrentAt.UTC().Format(time.RFC3339)),
			"let timestamp.key name another key before that, and timestamp.certificate_file its certificate; or have one issued for the version once it is in use"})
	}
	if k.RotationDays > 0 {
		all = append(all, Warning{fmt.Sprintf("timestamp.key: %s rotates by itself, next at %s: its certificate is then that of another version, and no token is given", arn, k.NextRotation.UTC().Format(time.RFC3339)),
			"switch that off: 'hsmgate key rotation --off " + t.Key + "'"})
	}
	return all
}

// ShutsOut says why nobody without a credential is served, although the authority is public; "" if somebody may be.
func (t *Timestamps) ShutsOut(s *store.Store, home Names) (problem, do string) {
	k := t.key(s, home)
	if !t.Public || k == nil {
		return "", ""
	}
	arn := home.keyARN(k.ID)
	r := policy.Request{Principal: policy.Anonymous(home.Account), Action: Timestamp.permission, KeyID: k.ID, ResourceARN: arn, Resource: arn}
	if k.Policy != nil && policy.MayAllow(k.Policy.Compiled, r) {
		return "", ""
	}
	return fmt.Sprintf("timestamp.public: the policy of %s allows %s to nobody without a credential, so that these are refused", arn, r.Action),
		`add a statement with "Principal": "*" for it to the key's policy ('hsmgate policy put'), as docs/timestamps.md has it, or take timestamp.public off`
}

// key is the key that the settings name, or nil.
func (t *Timestamps) key(s *store.Store, home Names) *store.Key {
	ref, err := home.parse(t.Key)
	if err != nil {
		return nil
	}
	return ref.in(s)
}

// stateRemedies are what to do about a key that cannot be used.
var stateRemedies = map[string]string{
	store.StateDisabled:               "enable it: 'hsmgate key enable'",
	store.StatePendingDeletion:        "keep it: 'hsmgate key cancel-deletion', then 'hsmgate key enable'; or use another key for timestamps",
	store.StatePendingReplicaDeletion: "keep it: 'hsmgate key cancel-deletion', then 'hsmgate key enable'; or use another key for timestamps",
	store.StatePendingImport:          "import its material: 'hsmgate key import'",
}
