package export

import "strings"

// activity is what an operation does, by OCSF's numbers.
type activity int

const (
	creates activity = 1
	reads   activity = 2
	updates activity = 3
	deletes activity = 4
	other   activity = 99 // uses a key, or is no call at all
)

var activityNames = map[activity]string{creates: "Create", reads: "Read", updates: "Update", deletes: "Delete"}

// verbs are how names of operations begin; the first that fits decides.
var verbs = []struct {
	prefix string
	does   activity
}{
	{"DestroyObject", deletes}, {"ExpireKeyMaterial", deletes}, {"DropApprovalRule", deletes}, {"RevokeGrant", deletes}, {"RetireGrant", deletes},
	{"RequestApproval", creates}, {"AcceptHistory", updates},
	{"GetParametersForImport", reads},
	{"Create", creates}, {"Replicate", creates}, {"Import", creates},
	{"Get", reads}, {"Read", reads}, {"List", reads}, {"Describe", reads}, {"Explain", reads},
	{"ScheduleKeyDeletion", updates}, {"Delete", deletes},
	{"Enable", updates}, {"Disable", updates}, {"Cancel", updates}, {"Update", updates}, {"Tag", updates}, {"Untag", updates}, {"Rotate", updates},
	{"Put", updates}, {"Publish", updates}, {"Unpublish", updates}, {"Approve", updates}, {"Reject", updates}, {"Connect", updates}, {"Disconnect", updates},
}

func activityOf(operation string) activity {
	for _, v := range verbs {
		if strings.HasPrefix(operation, v.prefix) {
			return v.does
		}
	}
	return other
}

// readOnly is CloudTrail's word for what changes nothing: the use of a key, too.
func (a activity) readOnly() bool { return a == reads || a == other }

const (
	kms  = "kms.amazonaws.com"
	sts  = "sts.amazonaws.com"
	ours = "hsmgate"
)

// ownOperations are those that AWS has no event of; a test compares them with the table of operations.
var ownOperations = map[string]bool{
	"ListPublicKeys": true, "GetKeyHistory": true, "PutApprovalRule": true, "DeleteApprovalRule": true, "GetApprovalRule": true, "RequestApproval": true,
	"ListApprovals": true, "DescribeApproval": true, "ApproveRequest": true, "RejectRequest": true, "CancelApproval": true, "ExplainAccess": true,
	"CreateAccessKey": true, "ListAccessKeys": true, "UpdateAccessKey": true, "DeleteAccessKey": true,
	"GetMetrics": true, "DropApprovalRule": true, "DestroyObject": true, "ExpireKeyMaterial": true, "Alert": true,
	"SignBatch": true, "Timestamp": true, "GetUsage": true, "GetReceipt": true, "ReadLog": true, "CreateLogKey": true, "AcceptHistory": true,
	"PublishKey": true, "UnpublishKey": true, "ListPublications": true,
}

// serviceOf is the eventSource of an operation.
func serviceOf(operation string) string {
	switch {
	case ownOperations[operation]:
		return ours
	case strings.HasPrefix(operation, "AssumeRole"), operation == "GetCallerIdentity", operation == "GetSessionToken":
		return sts
	}
	return kms
}
