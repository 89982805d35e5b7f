package policy

import (
	"fmt"
	"net/netip"
	"time"
)

// Principal is an authenticated caller. It is read-only after it was made.
type Principal struct {
	ARN  string          // arn:aws:iam::<account>:user/<name>, or of a role's session
	Role Role            // what the principal may do
	Keys map[string]bool // ids of the keys that RoleUser may use; other roles ignore it

	Policies []Attached // the identity policies of the principal and of its roles

	ID                 string              // aws:userid
	Tags               map[string]string   // aws:PrincipalTag/<key>
	Claims             map[string][]string // of the caller's OIDC token; hsmgate:Claim/<name>
	CertificateSubject string              // of the client's certificate, RFC 4514
	CertificateSANs    []string            // its subject alternative names

	// Who vouches for the caller, and for whom, for the log; never used to decide.
	IdentityProvider, IdentitySubject string

	// CredentialID names what the caller has proven to have, for the log; never used to decide, and no secret. It is an access key,
	// the temporary one of a session, or the id of a bearer token; "" of identity tokens and certificates, which others have issued.
	CredentialID string
}

// anonymous stands in an ARN where others have a name.
const anonymous = "anonymous"

// Anonymous is whoever calls without a credential. Only a key policy that names everybody allows him anything, and conditions
// find neither an ARN nor an account of his (IAM User Guide, reference_policies_condition-keys, aws:PrincipalArn).
func Anonymous(account string) Principal {
	return Principal{ARN: "arn:aws:iam::" + account + ":" + anonymous, ID: anonymous}
}

// Attached is an identity policy under the name that it was attached by.
type Attached struct {
	doc   *Document
	names []string // of its statements: policy/<name>/<Sid or number>
}

// Attach names an identity policy. Do it once, when the policy is loaded: the
// names of its statements, which decisions report, are made here. A policy that
// was not parsed as an identity policy is refused.
func Attach(name string, doc *Document) (Attached, error) {
	if doc == nil || doc.kind != IdentityPolicy {
		return Attached{}, fmt.Errorf("policy: %s is not an identity policy: one that was parsed as IdentityPolicy would be right", quoted(name))
	}
	a := Attached{doc: doc, names: make([]string, len(doc.statements))}
	for i := range doc.statements {
		a.names[i] = "policy/" + name + "/" + doc.statements[i].name
	}
	return a, nil
}

// Request asks for one action of one principal. Members that were not part of
// the call stay empty: a condition on them finds no value.
type Request struct {
	Principal Principal
	Action    string // "service:Operation", for example "kms:Sign"; compared exactly
	KeyID     string // the resolved key id, never an alias or ARN; "" for a service-level action
	Resource  string // what the caller named, for the log; never used to decide

	// ResourceARN is the ARN of the key, or of the alias that an action on an
	// alias is for; "" for a service-level action, which only Resource "*" means.
	ResourceARN string
	Time        time.Time // when the call was received

	// KeyPolicy is the policy of the key. Nil stands for AWS's default key
	// policy, which leaves the decision to identity policies.
	KeyPolicy *Document
	Grants    []Grant // of the key; others in the list allow nothing
	GrantID   string  // the grant that RetireGrant or RevokeGrant is for

	Caller Caller
	Key    *Key // what the key is, or what CreateKey is to make; nil for none
	Call   Parameters
}

// Caller is how a call came in.
type Caller struct {
	SourceIP        netip.Addr // aws:SourceIp
	UserAgent       string     // aws:UserAgent
	SecureTransport bool       // over TLS
	Region          string     // the region that was asked for, aws:RequestedRegion
	ViaService      string     // kms:ViaService; this gateway sets none
}

// Key is what conditions may ask of a key. It is read-only: one value serves
// every request for the key.
type Key struct {
	Spec, Usage, Origin string
	Aliases             []string // "alias/<name>"
	Tags                map[string]string
	MultiRegion         Flag
	MultiRegionKeyType  string // PRIMARY or REPLICA
}

// Parameters are those of the call, after defaults were put in. On CreateGrant,
// EncryptionContext holds the pairs of the new grant's constraint and
// GrantConstraintType says which constraint it is.
type Parameters struct {
	SigningAlgorithm, EncryptionAlgorithm, MacAlgorithm, KeyAgreementAlgorithm string
	MessageType, RequestAlias, DataKeyPairSpec                                 string
	WrappingAlgorithm, WrappingKeySpec, ExpirationModel                        string
	PrimaryRegion, ReplicaRegion                                               string

	EncryptionContext map[string]string

	GrantOperations                     []string
	GranteePrincipal, RetiringPrincipal string
	GrantConstraintType                 string // EncryptionContextEquals or EncryptionContextSubset
	GrantIsForAWSResource               Flag

	RotationPeriodInDays int // 0 when the call has none
	PendingWindowInDays  int // 0 when the call has none
	ValidTo              time.Time

	ReEncryptOnSameKey             Flag
	BypassPolicyLockoutSafetyCheck Flag

	Tags    map[string]string // that CreateKey or TagResource sets
	TagKeys []string          // that UntagResource removes; nil: those of Tags

	ArtifactName, ArtifactVersion, ArtifactDigest   string
	ArtifactRepository, ArtifactCommit, ArtifactRun string
	SigningContext                                  map[string]string
}

// Flag is a boolean that may be absent.
type Flag uint8

// The values of a Flag.
const (
	Absent Flag = iota
	False
	True
)

// FlagOf makes a present Flag.
func FlagOf(b bool) Flag {
	if b {
		return True
	}
	return False
}
