package awskms_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestRoundByTheAWSFace: Sign needs an approval here, too, and spends it.
func TestRoundByTheAWSFace(t *testing.T) {
	f := newFace(t)
	key := f.CreateKey(api.P256, api.SignVerify).KeyId
	anna := f.Principal("anna", policy.RoleUser)
	f.Call("PUT", "/v1/keys/"+key+"/approval-rule", api.ApprovalRule{Approvers: []string{anna.ARN}, Required: 1}, nil)
	sign := func() answer {
		return f.do(t, f.sign(&f.Admin, "TrentService.Sign", `{"KeyId":"`+key+`","Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`))
	}
	refused := func() {
		t.Helper()
		if a := sign(); a.status != 400 || a.code != string(api.ApprovalRequired) || !strings.Contains(a.message, "needs 1 approvals") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	refused()
	var asked api.ApprovalRequested
	f.Call("POST", "/v1/keys/"+key+"/approvals", json.RawMessage(`{"Digests":[{"Digest":"sha256:62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"}]}`), &asked)
	a := f.Send(anna.Token, "POST", "/v1/keys/"+key+"/approve", map[string]any{"ApprovalId": asked.ApprovalId, "Hash": asked.Hash})
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := sign(); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	refused()
}
