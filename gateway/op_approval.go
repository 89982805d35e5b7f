package gateway

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const (
	approvalLife = 24 * time.Hour      // of a request, unless it asks for another
	mostApproval = 30 * 24 * time.Hour // and at most
)

// newApproval makes the request of a document.
func (s *Service) newApproval(c *Call, doc api.ApprovalDocument, life time.Duration) (*store.Approval, *api.Error) {
	now := s.now()
	id, err := uuid.NewV7() // which sorts by time
	if err != nil {
		return nil, internal(c.RequestID, err)
	}
	doc.ApprovalId, doc.KeyId, doc.Requester = id.String(), c.key.ID, c.Principal.ARN
	doc.CreationDate, doc.ExpirationDate = api.NewTime(now), api.NewTime(now.Add(life))
	if doc.Window != nil {
		doc.ExpirationDate = doc.Window.NotAfter
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, internal(c.RequestID, err)
	}
	a := store.NewApproval(string(text))
	c.record.ApprovalID, c.record.Digest = a.ID, hashOfText(a.Document)
	return a, nil
}

func requested(a *store.Approval) *api.ApprovalRequested {
	return &api.ApprovalRequested{ApprovalId: a.ID, Hash: hashOfText(a.Document), ExpirationDate: a.Asked.ExpirationDate}
}

// RequestApproval asks the approvers of a key for signatures of the caller.
func (s *Service) RequestApproval(ctx context.Context, c *Call, in *api.RequestApprovalRequest) (*api.ApprovalRequested, *api.Error) {
	doc, life, err := s.asked(c, in)
	if err != nil {
		return nil, err
	}
	a, err := s.newApproval(c, doc, life)
	if err != nil {
		return nil, err
	}
	if err := s.makeRoom(ctx, c); err != nil {
		return nil, err
	}
	c.record.Digests = len(doc.Digests)
	err = s.changeApprovals(ctx, c, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, *api.Error) {
		if now.Rule == nil {
			return nil, nil, noRule(c, api.UnsupportedOperation)
		}
		return s.insertApproval(c, now, a)
	})
	if err != nil {
		return nil, err
	}
	s.undoApproval(c, a.ID, takenBack)
	return requested(a), nil
}

func noRule(c *Call, code api.Code) *api.Error {
	return api.Errorf(code, "%s has no approval rule, so that its signatures need no approval.", c.record.KeyARN)
}

// takenBack ends a request that nobody has a record of.
func takenBack(now store.Approvals, a *store.Approval) *store.ApprovalRule {
	a.Ended = string(api.ApprovalCancelled)
	return now.Rule
}

// asked checks what RequestApproval asks for.
func (s *Service) asked(c *Call, in *api.RequestApprovalRequest) (doc api.ApprovalDocument, life time.Duration, err *api.Error) {
	if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
		return doc, 0, err
	}
	if in.SigningAlgorithm == "" {
		in.SigningAlgorithm = signingAlgorithms[api.KeySpec(c.key.Spec)][0]
	}
	c.record.Algorithm = string(in.SigningAlgorithm)
	if err := checkSigning(c.key, in.SigningAlgorithm); err != nil {
		return doc, 0, err
	}
	doc = api.ApprovalDocument{SigningAlgorithm: in.SigningAlgorithm, Reason: in.Reason}
	switch {
	case (in.Window != nil) == (len(in.Digests) > 0):
		return doc, 0, api.Errorf(api.Validation, "Ask for signatures over Digests, or for those in a Window.")
	case in.Window != nil && (in.SignaturesPerDigest != nil || in.ValidForSeconds != nil):
		return doc, 0, api.Errorf(api.Validation, "A Window has a Count and a NotAfter. SignaturesPerDigest and ValidForSeconds go with Digests.")
	case in.Window != nil:
		doc.Window, err = s.window(*in.Window)
		return doc, 0, err
	}
	seen := make(map[string]bool, len(in.Digests))
	for _, d := range in.Digests {
		switch {
		case !digestFits(in.SigningAlgorithm, d.Digest):
			return doc, 0, api.Errorf(api.Validation, "Digest %.80q does not fit %s. %s", d.Digest, in.SigningAlgorithm, digestRight(in.SigningAlgorithm))
		case seen[d.Digest]:
			return doc, 0, api.Errorf(api.Validation, "Digest %s stands in the request twice. SignaturesPerDigest says how many signatures each is for.", d.Digest)
		}
		seen[d.Digest] = true
	}
	doc.Digests, doc.SignaturesPerDigest = in.Digests, orElse(in.SignaturesPerDigest, 1)
	return doc, time.Duration(orElse(in.ValidForSeconds, int(approvalLife/time.Second))) * time.Second, nil
}

func digestRight(a api.SigningAlgorithm) string {
	switch {
	case a == api.MLDSASHAKE256:
		return "It is sha512: of the message, or mu: and an external mu."
	case mechanisms[a].Hash == 0:
		return "It is sha512: of the message."
	}
	return "It is " + hashNames[mechanisms[a].Hash] + " and the digest that is signed."
}

// window checks the times of a window and puts its beginning in.
func (s *Service) window(w api.ApprovalWindow) (*api.ApprovalWindow, *api.Error) {
	now := s.now()
	if w.NotBefore == nil {
		w.NotBefore = api.NewTime(now)
	}
	switch {
	case !w.NotBefore.Before(w.NotAfter.Time) || !now.Before(w.NotAfter.Time):
		return nil, api.Errorf(api.Validation, "The window is over before it begins: NotAfter has to be later than NotBefore, and in the future.")
	case w.NotAfter.After(now.Add(mostApproval)):
		return nil, api.Errorf(api.Validation, "The window ends in more than 30 days. Ask again when it is time.")
	}
	return &w, nil
}

// ListApprovals lists the requests on a key, the oldest first.
func (s *Service) ListApprovals(_ context.Context, c *Call, in *api.ListApprovalsRequest) (*api.ListApprovalsResponse, *api.Error) {
	if in.Marker != "" && uuid.Validate(in.Marker) != nil {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListApprovals.", in.Marker)
	}
	now, limit := s.store.Approvals(c.key.ID), orElse(in.Limit, 50)
	out := &api.ListApprovalsResponse{Approvals: []api.Approval{}}
	for _, a := range now.Requests {
		described := s.approval(now.Rule, a)
		switch {
		case a.ID <= in.Marker, in.Status != "" && described.Status != in.Status:
		case len(out.Approvals) == limit:
			out.Truncated, out.NextMarker = true, out.Approvals[limit-1].ApprovalId
			return out, nil
		default:
			out.Approvals = append(out.Approvals, described)
		}
	}
	return out, nil
}

// DescribeApproval tells one request, with the document that approvers approve.
func (s *Service) DescribeApproval(_ context.Context, c *Call, in *api.DescribeApprovalRequest) (*api.DescribeApprovalResponse, *api.Error) {
	now := s.store.Approvals(c.key.ID)
	a := now.Find(in.ApprovalId)
	if a == nil {
		return nil, noApproval(c, in.ApprovalId)
	}
	c.record.ApprovalID = a.ID
	return &api.DescribeApprovalResponse{Approval: s.approval(now.Rule, a), Document: a.Document}, nil
}

func noApproval(c *Call, id string) *api.Error {
	return api.Errorf(api.NotFound, "%s has no request for approval %s. ListApprovals lists those that it has.", c.record.KeyARN, id)
}

func (s *Service) approval(r *store.ApprovalRule, a *store.Approval) api.Approval {
	out := api.Approval{
		ApprovalId: a.ID, Hash: hashOfText(a.Document), Status: approvalStatus(r, a, s.now()), Requester: a.Asked.Requester,
		Digests: len(a.Asked.Digests), Window: a.Asked.Window != nil, RuleChange: changesRule(a), Reason: a.Asked.Reason, Approvers: []string{},
		SignaturesLeft: signaturesLeft(a), EndedBy: a.EndedBy, CreationDate: a.Asked.CreationDate, ExpirationDate: a.Asked.ExpirationDate,
	}
	if out.Status == api.ApprovalPending && out.RuleChange && a.Asked.Replaces != ruleHash(r) {
		out.Status = api.ApprovalCancelled // by who made the rule another one
	}
	if r != nil {
		out.Approvers, out.Required = counted(r, a), r.Required
	}
	if !isOpen(out.Status) {
		out.SignaturesLeft = 0
	}
	return out
}
