package client_test

import (
	"crypto/sha512"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// approvals gives a key a rule, and has a signature with it approved.
func approvals(t *testing.T, g *gatewaytest.Gateway, c *client.Client, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	made, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify})
	ok("CreateKey", err)
	id := made.KeyMetadata.KeyId
	other := g.Principal("approver", policy.RoleUser)
	approver := client.New(g.URL, other.Token)
	rule := api.ApprovalRule{Approvers: []string{other.ARN}, Required: 1}
	put, err := c.PutApprovalRule(ctx, &api.PutApprovalRuleRequest{KeyTarget: key(id), ApprovalRule: rule})
	ok("PutApprovalRule", err)
	got, err := approver.GetApprovalRule(ctx, &api.GetApprovalRuleRequest{KeyTarget: key(id)})
	ok("GetApprovalRule", err)
	if put.ApprovalId != "" || !reflect.DeepEqual(got.ApprovalRule, rule) {
		t.Errorf("%+v %+v", put, got)
	}
	if _, err := c.SignFile(ctx, id, "", strings.NewReader("file")); client.Code(err) != api.ApprovalRequired {
		t.Errorf("without approval: %v", err)
	}
	request := func() *api.ApprovalRequested {
		digest, algorithm, err := c.DigestToSign(ctx, id, "", strings.NewReader("file"))
		ok("DescribeKey", err)
		asked, err := c.RequestApproval(ctx, &api.RequestApprovalRequest{KeyTarget: key(id), SigningAlgorithm: algorithm, Digests: []api.DigestToSign{{Digest: digest}}})
		ok("RequestApproval", err)
		return asked
	}
	asked := request()
	_, err = approver.ApproveRequest(ctx, &api.ApproveRequestRequest{KeyTarget: key(id), ApprovalId: asked.ApprovalId, Hash: asked.Hash})
	ok("ApproveRequest", err)
	_, err = c.SignFile(ctx, id, "", strings.NewReader("file"))
	ok("Sign", err)
	described, err := approver.DescribeApproval(ctx, &api.DescribeApprovalRequest{KeyTarget: key(id), ApprovalId: asked.ApprovalId})
	ok("DescribeApproval", err)
	if described.Status != api.ApprovalSpent || !strings.Contains(described.Document, `"Digest":"sha256:`) {
		t.Errorf("%+v", described)
	}
	_, err = approver.RejectRequest(ctx, &api.RejectRequestRequest{KeyTarget: key(id), ApprovalId: request().ApprovalId})
	ok("RejectRequest", err)
	_, err = c.CancelApproval(ctx, &api.CancelApprovalRequest{KeyTarget: key(id), ApprovalId: request().ApprovalId})
	ok("CancelApproval", err)
	list, err := c.ListApprovals(ctx, &api.ListApprovalsRequest{KeyTarget: key(id), Status: api.ApprovalRejected})
	ok("ListApprovals", err)
	gone, err := c.DeleteApprovalRule(ctx, &api.DeleteApprovalRuleRequest{KeyTarget: key(id)})
	ok("DeleteApprovalRule", err)
	if len(list.Approvals) != 1 || gone.ApprovalId == "" {
		t.Errorf("%+v %+v", list, gone)
	}
}

// TestDigestToSign: what the record of the signature calls it.
func TestDigestToSign(t *testing.T) {
	g := gatewaytest.New(t)
	c := client.New(g.URL, g.Admin.Token)
	of := func(b []byte) string { sum := sha512.Sum512(b); return hex.EncodeToString(sum[:]) }
	prehashed := sha512.Sum512([]byte("file"))
	for spec, algorithms := range map[api.KeySpec]map[api.SigningAlgorithm]string{
		api.P384:    {"": "", api.ECDSASHA384: ""},
		api.RSA2048: {"": "", api.PSSSHA512: "sha512:" + of([]byte("file"))},
		api.Ed25519: {"": "sha512:" + of([]byte("file")), api.Ed25519PHSHA512: "sha512:" + of(prehashed[:])},
	} {
		id := g.CreateKey(spec, api.SignVerify).KeyId
		for algorithm, want := range algorithms {
			digest, chosen, err := c.DigestToSign(t.Context(), id, algorithm, strings.NewReader("file"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.SignFile(t.Context(), id, chosen, strings.NewReader("file")); err != nil && client.Code(err) != api.UnsupportedOperation {
				t.Fatal(err)
			}
			records := g.Records()
			if got := records[len(records)-1].Digest; digest != got || want != "" && digest != want {
				t.Errorf("%s %s: %s, and the record has %s", spec, chosen, digest, got)
			}
		}
	}
	if _, _, err := c.DigestToSign(t.Context(), "none", api.MLDSASHAKE256, strings.NewReader("x")); client.Code(err) != api.Validation {
		t.Error(err)
	}
}
