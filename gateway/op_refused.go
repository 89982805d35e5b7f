package gateway

import (
	"context"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Who may use a key is decided by the roles of principals. A policy that is kept
// and not obeyed, or KMS's default policy in an answer, would be a lie: what asks
// for either is refused, with what to do instead.
const (
	noPolicies = "This gateway has no key policies: the roles of principals decide. Administrators may do everything; " +
		"a user may use the keys that it was made with: hsmgated principal create --role user --key KEY NAME. " +
		"hsmgated principal list shows who may use what."
	noGrantsHere = "This gateway has no grants: the roles of principals decide. " +
		"To let somebody use a key: hsmgated principal create --role user --key KEY NAME, then hsmgated credential issue --principal NAME. " +
		"To end it: hsmgated principal delete NAME, or hsmgated credential revoke."
)

// refused makes an operation that is decided and recorded like any other, and
// then refused in whatever state the key is.
func refused[In, Out any](name, method, path, why string) *Op {
	return op(name, method, path, anyState, func(*Service, context.Context, *Call, *In) (*Out, *api.Error) {
		return nil, api.Errorf(api.UnsupportedOperation, "%s is not supported. %s", name, why)
	})
}

// refusedOps are the operations of AWS KMS that mean nothing here.
var refusedOps = []*Op{
	refused[api.GetKeyPolicyRequest, api.GetKeyPolicyResponse]("GetKeyPolicy", "GET", "/v1/keys/{key}/policy", noPolicies),
	refused[api.PutKeyPolicyRequest, api.Empty]("PutKeyPolicy", "PUT", "/v1/keys/{key}/policy", noPolicies),
	refused[api.ListKeyPoliciesRequest, api.ListKeyPoliciesResponse]("ListKeyPolicies", "GET", "/v1/keys/{key}/policies", noPolicies),
	refused[api.CreateGrantRequest, api.CreateGrantResponse]("CreateGrant", "POST", "/v1/keys/{key}/grants", noGrantsHere),
	refused[api.ListGrantsRequest, api.ListGrantsResponse]("ListGrants", "GET", "/v1/keys/{key}/grants", noGrantsHere),
	refused[api.RevokeGrantRequest, api.Empty]("RevokeGrant", "POST", "/v1/keys/{key}/revoke-grant", noGrantsHere),
	refused[api.RetireGrantRequest, api.Empty]("RetireGrant", "POST", "/v1/grants/retire", noGrantsHere).orNoKey(),
	refused[api.ListRetirableGrantsRequest, api.ListRetirableGrantsResponse]("ListRetirableGrants", "GET", "/v1/grants", noGrantsHere),
}
