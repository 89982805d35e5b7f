package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// explainAccess is the permission to be told why calls are decided, whoever makes
// them. It is about no key: who has it sees what any key's policy says of a call.
const explainAccess = "hsmgate:ExplainAccess"

// ExplainAccess decides a call as if it came, by the same code, and tells what each
// decision looked at. The call is not made.
func (s *Service) ExplainAccess(_ context.Context, c *Call, in *api.ExplainAccessRequest) (*api.ExplainAccessResponse, *api.Error) {
	call, request, err := s.imagined(c, in)
	if err != nil {
		return nil, err
	}
	out := &api.ExplainAccessResponse{Principal: call.Principal.ARN, Allowed: true}
	call.explained = func(q question, r policy.Request, d policy.Decision) {
		out.Allowed = out.Allowed && d.Allowed
		out.Decisions = append(out.Decisions, explained(q, r, d))
	}
	err = s.authorize(call, request)
	c.record.Resource, c.record.KeyID, c.record.KeyARN = call.record.Resource, call.record.KeyID, call.record.KeyARN
	if len(out.Decisions) == 0 && err != nil { // it would be refused before anything is decided
		return nil, err
	}
	out.Message = s.outcome(call, in, err)
	return out, nil
}

// imagined makes the call that is to be explained, and its request.
func (s *Service) imagined(c *Call, in *api.ExplainAccessRequest) (*Call, any, *api.Error) {
	op := opFor(in.Action)
	if op == nil {
		return nil, nil, api.Errorf(api.Validation, "No call asks for %s. The actions are kms: and the name of an operation, such as kms:Sign, kms:ReEncryptFrom, kms:ReEncryptTo those of this gateway, such as hsmgate:GetMetrics, and sts:AssumeRole.", in.Action)
	}
	if _, bad := netip.ParseAddr(in.SourceAddress); in.SourceAddress != "" && bad != nil {
		return nil, nil, api.Errorf(api.Validation, "SourceAddress %q is not an address.", in.SourceAddress)
	}
	who, err := s.principalNamed(in.Principal)
	if err != nil {
		return nil, nil, err
	}
	if len(in.PrincipalTags) > 0 {
		who.Tags = retagged(who.Tags, in.PrincipalTags)
	}
	if in.Claims != nil {
		who.Claims = in.Claims
	}
	if in.CertificateSubject != "" || in.CertificateSANs != nil {
		who.CertificateSubject, who.CertificateSANs = in.CertificateSubject, in.CertificateSANs
	}
	call := &Call{RequestID: c.RequestID, Face: c.Face, Region: c.Region, Principal: who, SourceAddress: orDefault(in.SourceAddress, c.SourceAddress),
		UserAgent: c.UserAgent, Secure: c.Secure, op: op}
	if in.Time != nil {
		call.at = in.Time.Time
	}
	request, err := s.imaginedRequest(call, in)
	if err == nil {
		err = keyMissing(in.Action, request)
	}
	return call, request, err
}

// retagged are the tags of a principal with others in the place of those of the same
// names, which have no case.
func retagged(tags, others map[string]string) map[string]string {
	all := maps.Clone(others)
	for name, value := range tags {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(others)), func(o string) bool { return strings.EqualFold(o, name) }) {
			all[name] = value
		}
	}
	return all
}

// imaginedRequest fills the operation's request. What is missing in it is no
// mistake: only conditions ask for it.
func (s *Service) imaginedRequest(c *Call, in *api.ExplainAccessRequest) (any, *api.Error) {
	request := c.op.New()
	members, err := json.Marshal(in.Request)
	if err != nil {
		return nil, internal(c.RequestID, err)
	}
	if in.Request != nil {
		if err := api.Decode(members, request, true); err != nil {
			return nil, err
		}
	}
	if in.KeyId != "" {
		target, ok := request.(interface{ SetKeyRef(string) })
		if !ok {
			return nil, api.Errorf(api.Validation, "%s is about no key. Leave KeyId out.", in.Action)
		}
		target.SetKeyRef(s.acceptable(c, in.KeyId))
	}
	if of, ok := request.(interface{ RoleRef() string }); ok && of.RoleRef() == "" {
		return nil, api.Errorf(api.Validation, "%s is about a role. Name it in Request, by the member RoleArn.", in.Action)
	}
	var check api.Checker
	request.(interface{ Check(*api.Checker) }).Check(&check)
	return request, check.Present()
}

// acceptable is a reference in a form that the operation takes: the id in place of
// an alias where it takes none.
func (s *Service) acceptable(c *Call, reference string) string {
	ref, err := s.namesFor(c).parse(reference)
	if err != nil || ref.alias == "" || c.op.byAlias {
		return reference
	}
	if k := s.resolve(ref); k != nil {
		return k.ID
	}
	return reference
}

// opFor finds the operation that asks for an action.
func opFor(action string) *Op {
	_, name, _ := strings.Cut(action, ":")
	if strings.HasPrefix(name, "ReEncrypt") {
		name = "ReEncrypt" // which asks for both
	}
	if op, ok := OpNamed(name); ok && (op.permission == action || action == reEncryptFrom.permission) {
		return op
	}
	for _, op := range append([]*Op{GetMetrics, ReadLog}, STS...) {
		if action == op.permission {
			return op
		}
	}
	return nil
}

// principalNamed finds a principal by its ARN, or a user of the account by its name. A
// session need not be there: it is one of that name, with no claims.
func (s *Service) principalNamed(name string) (policy.Principal, *api.Error) {
	arn := name
	if !strings.HasPrefix(name, "arn:") {
		arn = "arn:aws:iam::" + s.names.Account + ":user/" + name
	}
	p, err := s.identities.Principal(arn)
	if role, ok := s.identities.RoleName(policy.RoleOf(arn)); ok {
		p, err = s.identities.Assume(role, identity.Proof{Session: arn[strings.LastIndexByte(arn, '/')+1:]}, s.now())
	}
	if err != nil {
		return p, s.noPrincipal(name, arn)
	}
	return p, nil
}

func explained(q question, r policy.Request, d policy.Decision) api.AccessDecision {
	out := api.AccessDecision{Action: q.action, Resource: orDefault(r.ResourceARN, "*"), Allowed: d.Allowed, Statement: d.Statement, Reason: d.Reason, Steps: []api.AccessStep{}}
	for _, step := range policy.Explain(r) {
		out.Steps = append(out.Steps, api.AccessStep(step))
	}
	return out
}

// explainDryRun adds to the answer of a dry run what allowed the call, for those who
// could ask ExplainAccess. Of the AWS face the text is that of AWS.
func (s *Service) explainDryRun(c *Call, answer *api.Error) {
	if c.Face != "rest" || !policy.Evaluate(s.request(c, question{action: explainAccess, resource: "*"})).Allowed {
		return
	}
	by := c.record.Reason
	if c.source != nil {
		by = c.source.record.Reason + " and " + by
	}
	answer.Message += " It is allowed by " + by + "."
}
