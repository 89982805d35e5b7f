package client

import (
	"context"
	"net/http"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// PutApprovalRule gives a key an approval rule, or asks its approvers for another one.
func (c *Client) PutApprovalRule(ctx context.Context, in *api.PutApprovalRuleRequest) (*api.ApprovalRequested, error) {
	return do[api.ApprovalRequested](ctx, c, http.MethodPut, key(in.KeyId, "/approval-rule"), nil, in)
}

// DeleteApprovalRule asks the approvers of a key to take its rule away.
func (c *Client) DeleteApprovalRule(ctx context.Context, in *api.DeleteApprovalRuleRequest) (*api.ApprovalRequested, error) {
	return do[api.ApprovalRequested](ctx, c, http.MethodDelete, key(in.KeyId, "/approval-rule"), nil, nil)
}

// GetApprovalRule tells a key's approval rule.
func (c *Client) GetApprovalRule(ctx context.Context, in *api.GetApprovalRuleRequest) (*api.GetApprovalRuleResponse, error) {
	return do[api.GetApprovalRuleResponse](ctx, c, http.MethodGet, key(in.KeyId, "/approval-rule"), query(in, "KeyId"), nil)
}

// RequestApproval asks the approvers of a key for signatures of the caller.
func (c *Client) RequestApproval(ctx context.Context, in *api.RequestApprovalRequest) (*api.ApprovalRequested, error) {
	return do[api.ApprovalRequested](ctx, c, http.MethodPost, key(in.KeyId, "/approvals"), nil, in)
}

// ListApprovals lists a page of the requests on a key, the oldest first.
func (c *Client) ListApprovals(ctx context.Context, in *api.ListApprovalsRequest) (*api.ListApprovalsResponse, error) {
	return do[api.ListApprovalsResponse](ctx, c, http.MethodGet, key(in.KeyId, "/approvals"), query(in, "KeyId"), nil)
}

// DescribeApproval tells one request, with the document that approvers approve.
func (c *Client) DescribeApproval(ctx context.Context, in *api.DescribeApprovalRequest) (*api.DescribeApprovalResponse, error) {
	return do[api.DescribeApprovalResponse](ctx, c, http.MethodGet, key(in.KeyId, "/approval"), query(in, "KeyId"), nil)
}

// ApproveRequest is the consent of an approver to what he has seen.
func (c *Client) ApproveRequest(ctx context.Context, in *api.ApproveRequestRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/approve"), nil, in)
}

// RejectRequest ends a request on behalf of an approver.
func (c *Client) RejectRequest(ctx context.Context, in *api.RejectRequestRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/reject"), nil, in)
}

// CancelApproval takes back a request, or what is left of an approval.
func (c *Client) CancelApproval(ctx context.Context, in *api.CancelApprovalRequest) (*api.Empty, error) {
	return do[api.Empty](ctx, c, http.MethodPost, key(in.KeyId, "/cancel-approval"), nil, in)
}
