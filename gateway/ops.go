package gateway

import (
	"context"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Op is one operation of the service.
type Op struct {
	Name   string // of the AWS operation, the permission and the audit record
	Method string // of the REST route
	Path   string // of the REST route, with {key} or {alias}
	Also   string // a second path, for a request that does not name its key; or ""
	States States // in which the key may be

	New func() any // an empty request to decode into
	run func(context.Context, *Service, *Call, any) (any, *api.Error)

	open       bool   // who calls may do it: what it gives is the caller's own
	permission string // kms:Name, but for ReEncrypt, which has one for each key
	beyondKMS  bool   // AWS KMS has no such operation, so only REST does
	byAlias    bool   // the key may be named by an alias, too
	tracked    bool   // GetKeyLastUsage tells of it
	// changes: calls of such operations go one by one from the decision to the
	// durable record, so that one whose record fails takes back its own change
	// and never that of another, which its caller counts on.
	changes bool
	// reads: calls of such operations read memory and use the token, and write
	// nothing to the store, so they go on for a while when the database is away.
	reads bool
	// usesKey: a call of such an operation takes a use of the counted grant that
	// allows it. RequestApproval, which takes the permission of Sign, is none.
	usesKey bool
}

// Ops is the table of operations. Adding one costs its types in api, its method
// in an op_*.go, a line here and a line in the client.
var Ops = []*Op{
	op("CreateKey", "POST", "/v1/keys", anyState, (*Service).CreateKey),
	op("EnableKey", "POST", "/v1/keys/{key}/enable", switchable, (*Service).EnableKey).changing(),
	op("DisableKey", "POST", "/v1/keys/{key}/disable", switchable, (*Service).DisableKey).changing(),
	op("ScheduleKeyDeletion", "POST", "/v1/keys/{key}/schedule-deletion", deletable, (*Service).ScheduleKeyDeletion).changing(),
	op("Decrypt", "POST", "/v1/keys/{key}/decrypt", usable, (*Service).Decrypt).orAlias().orAt("/v1/decrypt").using(),
	op("ReEncrypt", "POST", "/v1/re-encrypt", usable, (*Service).ReEncrypt).orAlias().as("kms:ReEncryptTo").using(),
	op("GenerateDataKey", "POST", "/v1/keys/{key}/generate-data-key", usable, (*Service).GenerateDataKey).orAlias().using(),
	op("GenerateDataKeyWithoutPlaintext", "POST", "/v1/keys/{key}/generate-data-key-without-plaintext", usable, (*Service).GenerateDataKeyWithoutPlaintext).orAlias().using(),
	op("GenerateDataKeyPair", "POST", "/v1/keys/{key}/generate-data-key-pair", usable, (*Service).GenerateDataKeyPair).orAlias().using(),
	op("GenerateDataKeyPairWithoutPlaintext", "POST", "/v1/keys/{key}/generate-data-key-pair-without-plaintext", usable, (*Service).GenerateDataKeyPairWithoutPlaintext).orAlias().using(),
	op("GenerateMac", "POST", "/v1/keys/{key}/generate-mac", usable, (*Service).GenerateMac).orAlias().using(),
	op("VerifyMac", "POST", "/v1/keys/{key}/verify-mac", usable, (*Service).VerifyMac).orAlias().using(),
	op("DeriveSharedSecret", "POST", "/v1/keys/{key}/derive-shared-secret", usable, (*Service).DeriveSharedSecret).orAlias().using(),
	op("Encapsulate", "POST", "/v1/keys/{key}/encapsulate", usable, (*Service).Encapsulate).orAlias().using(),
	op("Decapsulate", "POST", "/v1/keys/{key}/decapsulate", usable, (*Service).Decapsulate).orAlias().using(),
	op("GenerateRandom", "POST", "/v1/random", anyState, (*Service).GenerateRandom).reading(),
	op("ListKeys", "GET", "/v1/keys", anyState, (*Service).ListKeys).reading(),
	op("DescribeKey", "GET", "/v1/keys/{key}", anyState, (*Service).DescribeKey).orAlias().reading(),
	op("GetPublicKey", "GET", "/v1/keys/{key}/public-key", usable, (*Service).GetPublicKey).orAlias().using(),
	op("Sign", "POST", "/v1/keys/{key}/sign", usable, (*Service).Sign).orAlias().using(),
	op("SignBatch", "POST", "/v1/keys/{key}/sign-batch", usable, (*Service).SignBatch).orAlias().beyond("kms:Sign").using(),
	op("Verify", "POST", "/v1/keys/{key}/verify", usable, (*Service).Verify).orAlias().using(),
	op("Encrypt", "POST", "/v1/keys/{key}/encrypt", usable, (*Service).Encrypt).orAlias().using(),
	op("CancelKeyDeletion", "POST", "/v1/keys/{key}/cancel-deletion", onlyPending, (*Service).CancelKeyDeletion).changing(),
	op("EnableKeyRotation", "PUT", "/v1/keys/{key}/rotation", rotatable, (*Service).EnableKeyRotation).changing(),
	op("DisableKeyRotation", "DELETE", "/v1/keys/{key}/rotation", rotatable, (*Service).DisableKeyRotation).changing(),
	op("GetKeyRotationStatus", "GET", "/v1/keys/{key}/rotation", anyState, (*Service).GetKeyRotationStatus).reading(),
	op("RotateKeyOnDemand", "POST", "/v1/keys/{key}/rotate", usable, (*Service).RotateKeyOnDemand),
	op("ListKeyRotations", "GET", "/v1/keys/{key}/rotations", anyState, (*Service).ListKeyRotations).reading(),
	op("ListPublicKeys", "GET", "/v1/keys/{key}/public-keys", usable, (*Service).ListPublicKeys).orAlias().beyond("kms:GetPublicKey").using(),
	op("GetKeyHistory", "GET", "/v1/keys/{key}/history", usable, (*Service).GetKeyHistory).orAlias().beyond("kms:GetPublicKey").using(),
	op("CreateAlias", "POST", "/v1/aliases", notPending, (*Service).CreateAlias).changing(),
	op("UpdateAlias", "PUT", "/v1/aliases/{alias}", notPending, (*Service).UpdateAlias).changing(),
	op("DeleteAlias", "DELETE", "/v1/aliases/{alias}", anyState, (*Service).DeleteAlias).orAlias().changing(),
	op("ListAliases", "GET", "/v1/aliases", anyState, (*Service).ListAliases).reading(),
	op("UpdateKeyDescription", "PUT", "/v1/keys/{key}/description", notPending, (*Service).UpdateKeyDescription).changing(),
	op("TagResource", "POST", "/v1/keys/{key}/tags", notPending, (*Service).TagResource).changing(),
	op("UntagResource", "POST", "/v1/keys/{key}/untag", notPending, (*Service).UntagResource).changing(),
	op("ListResourceTags", "GET", "/v1/keys/{key}/tags", anyState, (*Service).ListResourceTags).reading(),
	op("GetKeyLastUsage", "GET", "/v1/keys/{key}/last-usage", anyState, (*Service).GetKeyLastUsage).reading(),
	op("GetParametersForImport", "POST", "/v1/keys/{key}/import-parameters", importable, (*Service).GetParametersForImport),
	op("ImportKeyMaterial", "POST", "/v1/keys/{key}/import", importable|updating, (*Service).ImportKeyMaterial),
	op("DeleteImportedKeyMaterial", "POST", "/v1/keys/{key}/delete-imported", importable|pendingDeletion, (*Service).DeleteImportedKeyMaterial),
	op("ReplicateKey", "POST", "/v1/keys/{key}/replicate", enabled, (*Service).ReplicateKey).changing(),
	op("UpdatePrimaryRegion", "PUT", "/v1/keys/{key}/primary-region", usable, (*Service).UpdatePrimaryRegion).changing(),
	op("GetKeyPolicy", "GET", "/v1/keys/{key}/policy", anyState, (*Service).GetKeyPolicy).reading(),
	op("PutKeyPolicy", "PUT", "/v1/keys/{key}/policy", anyState, (*Service).PutKeyPolicy).changing(),
	op("PutApprovalRule", "PUT", "/v1/keys/{key}/approval-rule", anyState, (*Service).PutApprovalRule).orAlias().beyond("hsmgate:PutApprovalRule").changing(),
	op("DeleteApprovalRule", "DELETE", "/v1/keys/{key}/approval-rule", anyState, (*Service).DeleteApprovalRule).orAlias().beyond("hsmgate:PutApprovalRule").changing(),
	op("GetApprovalRule", "GET", "/v1/keys/{key}/approval-rule", anyState, (*Service).GetApprovalRule).orAlias().beyond("hsmgate:ListApprovals").reading(),
	op("RequestApproval", "POST", "/v1/keys/{key}/approvals", notPending, (*Service).RequestApproval).orAlias().beyond("kms:Sign").changing(),
	op("ListApprovals", "GET", "/v1/keys/{key}/approvals", anyState, (*Service).ListApprovals).orAlias().beyond("hsmgate:ListApprovals").reading(),
	op("DescribeApproval", "GET", "/v1/keys/{key}/approval", anyState, (*Service).DescribeApproval).orAlias().beyond("hsmgate:ListApprovals").reading(),
	op("ApproveRequest", "POST", "/v1/keys/{key}/approve", anyState, (*Service).ApproveRequest).orAlias().beyond("hsmgate:ApproveRequest").changing(),
	op("RejectRequest", "POST", "/v1/keys/{key}/reject", anyState, (*Service).RejectRequest).orAlias().beyond("hsmgate:ApproveRequest").changing(),
	op("CancelApproval", "POST", "/v1/keys/{key}/cancel-approval", anyState, (*Service).CancelApproval).orAlias().beyond("hsmgate:CancelApproval").changing(),
	op("PublishKey", "PUT", "/v1/keys/{key}/publication", notPending, (*Service).PublishKey).orAlias().beyond("hsmgate:PublishKey").changing(),
	op("UnpublishKey", "DELETE", "/v1/keys/{key}/publication", anyState, (*Service).UnpublishKey).orAlias().beyond("hsmgate:UnpublishKey").changing(),
	op("ListPublications", "GET", "/v1/publications", anyState, (*Service).ListPublications).beyond("hsmgate:ListPublications").reading(),
	op("ListKeyPolicies", "GET", "/v1/keys/{key}/policies", anyState, (*Service).ListKeyPolicies).reading(),
	op("CreateGrant", "POST", "/v1/keys/{key}/grants", usable|unavailable, (*Service).CreateGrant).changing(),
	op("ListGrants", "GET", "/v1/keys/{key}/grants", anyState, (*Service).ListGrants).reading(),
	op("RevokeGrant", "POST", "/v1/keys/{key}/revoke-grant", anyState, (*Service).RevokeGrant).changing(),
	op("RetireGrant", "POST", "/v1/grants/retire", anyState, (*Service).RetireGrant).changing(),
	op("ListRetirableGrants", "GET", "/v1/grants", anyState, (*Service).ListRetirableGrants).reading(),
	op("ExplainAccess", "POST", "/v1/explain-access", anyState, (*Service).ExplainAccess).beyond(explainAccess).reading(),
	op("GetUsage", "GET", "/v1/usage", anyState, (*Service).GetUsage).beyond("hsmgate:GetUsage").reading(),
	op("GetReceipt", "GET", "/v1/log/receipt", anyState, (*Service).GetReceipt).beyond("hsmgate:GetReceipt").reading(),
	op("CreateAccessKey", "POST", "/v1/access-keys", anyState, (*Service).CreateAccessKey).beyond("hsmgate:CreateAccessKey").changing(),
	op("ListAccessKeys", "GET", "/v1/access-keys", anyState, (*Service).ListAccessKeys).beyond("hsmgate:ListAccessKeys").reading(),
	op("UpdateAccessKey", "POST", "/v1/access-keys/update", anyState, (*Service).UpdateAccessKey).beyond("hsmgate:UpdateAccessKey").changing(),
	op("DeleteAccessKey", "POST", "/v1/access-keys/delete", anyState, (*Service).DeleteAccessKey).beyond("hsmgate:DeleteAccessKey").changing(),
	op("CreateCustomKeyStore", "POST", "/v1/custom-key-stores", anyState, (*Service).CreateCustomKeyStore),
	op("DescribeCustomKeyStores", "GET", "/v1/custom-key-stores", anyState, (*Service).DescribeCustomKeyStores).reading(),
	op("UpdateCustomKeyStore", "POST", "/v1/custom-key-stores/update", anyState, (*Service).UpdateCustomKeyStore),
	op("DeleteCustomKeyStore", "POST", "/v1/custom-key-stores/delete", anyState, (*Service).DeleteCustomKeyStore),
	op("ConnectCustomKeyStore", "POST", "/v1/custom-key-stores/connect", anyState, (*Service).ConnectCustomKeyStore).changing(),
	op("DisconnectCustomKeyStore", "POST", "/v1/custom-key-stores/disconnect", anyState, (*Service).DisconnectCustomKeyStore).changing(),
}

// GetMetrics is the permission to read the figures of the service. It is no
// operation of AWS KMS and has no AWS target.
var GetMetrics = &Op{
	Name: "GetMetrics", Method: "GET", Path: "/metrics", permission: "hsmgate:GetMetrics", reads: true,
	New: func() any { return new(nothing) },
	run: func(context.Context, *Service, *Call, any) (any, *api.Error) { return &api.Empty{}, nil },
}

// nothing is a request without members.
type nothing struct{}

// Check finds nothing malformed.
func (*nothing) Check(*api.Checker) {}

// request is what every request type offers.
type request interface{ Check(*api.Checker) }

func op[In, Out any](name, method, path string, states States,
	run func(*Service, context.Context, *Call, *In) (*Out, *api.Error)) *Op {
	return &Op{
		Name: name, Method: method, Path: path, States: states, permission: "kms:" + name, tracked: tracked(name),
		New: func() any { return new(In) },
		run: func(ctx context.Context, s *Service, c *Call, in any) (any, *api.Error) {
			out, err := run(s, ctx, c, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// orAlias lets the key be named by an alias as well as by id and ARN.
func (op *Op) orAlias() *Op {
	op.byAlias = true
	return op
}

// orAt gives the operation a second path, for requests that do not name a key.
func (op *Op) orAt(path string) *Op {
	op.Also = path
	return op
}

// toAll marks an operation that no permission stands for.
func (op *Op) toAll() *Op {
	op.open, op.permission = true, ""
	return op
}

// as names the permission where it is not that of the operation's name.
func (op *Op) as(permission string) *Op {
	op.permission = permission
	return op
}

// changing marks an operation that changes a key's state or an alias.
func (op *Op) changing() *Op {
	op.changes = true
	return op
}

// beyond marks an operation that AWS KMS does not have, with the permission that
// stands for it.
func (op *Op) beyond(permission string) *Op {
	op.beyondKMS, op.permission = true, permission
	return op
}

// BeyondKMS says whether AWS KMS has no such operation.
func (op *Op) BeyondKMS() bool { return op.beyondKMS }

// reading marks an operation that does not write to the store.
func (op *Op) reading() *Op {
	op.reads = true
	return op
}

// using marks an operation that reads and uses the key.
func (op *Op) using() *Op {
	op.usesKey = true
	return op.reading()
}

// Permission is what the policy is asked for: kms:Name, and kms:ReEncryptTo for
// the key that ReEncrypt encrypts with; for the other it is kms:ReEncryptFrom.
func (op *Op) Permission() string { return op.permission }

// ByAlias says whether the key may be named by an alias, too.
func (op *Op) ByAlias() bool { return op.byAlias }

// OpNamed returns the operation with that name.
func OpNamed(name string) (*Op, bool) {
	op, ok := opsByName[name]
	return op, ok
}

var opsByName map[string]*Op

func init() {
	opsByName = make(map[string]*Op, len(Ops))
	for _, op := range Ops {
		opsByName[op.Name] = op
	}
}
