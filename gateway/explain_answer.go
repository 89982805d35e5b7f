package gateway

import (
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// outcome is what stands against a call that is explained, beside its decisions; "" for
// nothing. err is that of authorize.
func (s *Service) outcome(call *Call, in *api.ExplainAccessRequest, err *api.Error) string {
	if err != nil && err.Code == api.AccessDenied && in.KeyId != "" && call.key == nil {
		return "There is no key " + in.KeyId + ". " + err.Error() // which nobody else is told
	}
	if err != nil {
		return err.Error()
	}
	if call.op.Name == "Sign" {
		if r := s.store.ApprovalRule(call.key.ID); r != nil {
			return api.Errorf(api.ApprovalRequired, "Signing with %s needs %d approvals. Ask for them with RequestApproval (hsmgate approval request).",
				call.record.KeyARN, r.Required).Error()
		}
	}
	return ""
}

// keyMissing refuses to explain a call on no key where it has to be on one.
func keyMissing(action string, request any) *api.Error {
	of, aboutKey := request.(interface{ KeyRef() string })
	if !aboutKey || of.KeyRef() != "" || policy.AboutNoKey(action) {
		return nil
	}
	if sealed, ok := request.(sealedRequest); ok && len(sealed.Ciphertext()) > 0 { // which names it
		return nil
	}
	if retire, ok := request.(*api.RetireGrantRequest); ok && retire.GrantToken != "" {
		return nil
	}
	return api.Errorf(api.Validation, "%s is about a key. Name it with KeyId.", action)
}

// noPrincipal says that nobody has that ARN, or who else has that name.
func (s *Service) noPrincipal(name, arn string) *api.Error {
	role := s.identities.RoleARN(name)
	if _, err := s.identities.Principal(role); err == nil {
		return api.Errorf(api.NotFound, "There is no user %s, but a role: %s.", name, role)
	}
	return api.Errorf(api.NotFound, "There is no principal %s.", arn)
}
