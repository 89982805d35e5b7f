package policy

import (
	"math/bits"
	"strings"
)

// actions are the permissions that a policy may name: the operations of AWS
// KMS (Service Authorization Reference, AWS KMS; ReEncrypt has two) and those
// of this gateway alone.
var actions = [...]string{
	"kms:CancelKeyDeletion", "kms:ConnectCustomKeyStore", "kms:CreateAlias", "kms:CreateCustomKeyStore",
	"kms:CreateGrant", "kms:CreateKey", "kms:Decapsulate", "kms:Decrypt", "kms:DeleteAlias",
	"kms:DeleteCustomKeyStore", "kms:DeleteImportedKeyMaterial", "kms:DeriveSharedSecret",
	"kms:DescribeCustomKeyStores", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation",
	"kms:DisconnectCustomKeyStore", "kms:EnableKey", "kms:EnableKeyRotation", "kms:Encapsulate", "kms:Encrypt",
	"kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext",
	"kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateMac", "kms:GenerateRandom", "kms:GetKeyLastUsage",
	"kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:GetParametersForImport", "kms:GetPublicKey",
	"kms:ImportKeyMaterial", "kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListKeyRotations",
	"kms:ListKeys", "kms:ListResourceTags", "kms:ListRetirableGrants", "kms:PutKeyPolicy", "kms:ReEncryptFrom",
	"kms:ReEncryptTo", "kms:ReplicateKey", "kms:RetireGrant", "kms:RevokeGrant", "kms:RotateKeyOnDemand",
	"kms:ScheduleKeyDeletion", "kms:Sign", "kms:SynchronizeMultiRegionKey", "kms:TagResource", "kms:UntagResource",
	"kms:UpdateAlias", "kms:UpdateCustomKeyStore", "kms:UpdateKeyDescription", "kms:UpdatePrimaryRegion",
	"kms:Verify", "kms:VerifyMac",
	"hsmgate:ApproveRequest", "hsmgate:CancelApproval", "hsmgate:CreateAccessKey", "hsmgate:CreatePrincipal", "hsmgate:DeleteAccessKey",
	"hsmgate:ExplainAccess", "hsmgate:GetMetrics", "hsmgate:GetReceipt", "hsmgate:GetUsage", "hsmgate:ListAccessKeys", "hsmgate:ListApprovals", "hsmgate:ListPublications",
	"hsmgate:PublishKey", "hsmgate:PutApprovalRule", "hsmgate:ReadLog", "hsmgate:SignBatch", "hsmgate:Timestamp", "hsmgate:UnpublishKey", "hsmgate:UpdateAccessKey",
	"sts:AssumeRole",
}

// actionSet is a set of indices into actions, so that a decision tests one bit
// and compares no text.
type actionSet [2]uint64

func (s *actionSet) add(i int) { s[i/64] |= 1 << (i % 64) }
func (s actionSet) several() bool {
	return bits.OnesCount64(s[0])+bits.OnesCount64(s[1]) > 1
}
func (s actionSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

var actionIndex = func() map[string]int {
	m := make(map[string]int, len(actions))
	for i, a := range actions {
		m[a] = i
	}
	return m
}()

// Actions lists the actions that a policy may name, without wildcards.
func Actions() []string { return append([]string(nil), actions[:]...) }

// actionPattern is one value of Action: it knows the actions it stands for, and
// its lower-case pattern for an action that is not in the list.
type actionPattern struct {
	set     actionSet
	pattern pattern
}

// compileAction reads one value of Action or NotAction. Service prefix and name
// are compared without case (IAM User Guide, reference_policies_elements_action).
// known is false when the value stands for no action at all.
func compileAction(text string) (p actionPattern, known bool) {
	p.pattern = wildcards(strings.ToLower(text))
	for i, a := range actions {
		if p.pattern.match(strings.ToLower(a), nil) == yes {
			p.set.add(i)
			known = true
		}
	}
	return p, known
}

// wellFormed reports whether an action is kms:Name, hsmgate:Name or sts:Name, the
// name made of letters and digits. A pattern such as kms:* is not an action.
func wellFormed(action string) bool {
	service, name, ok := strings.Cut(action, ":")
	ok = ok && (service == "kms" || service == "hsmgate" || service == "sts")
	if !ok || name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// nearest finds the name that text was most likely meant to be; "" when none
// comes near.
func nearest(text string, names []string) string {
	best, least := "", len(text)/3+2
	for _, n := range names {
		if d := distance(strings.ToLower(text), strings.ToLower(n), least); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b, or most when it is larger.
func distance(a, b string, most int) int {
	if len(a) > 128 || len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return min(row[len(b)], most)
}
