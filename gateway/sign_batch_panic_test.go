package gateway_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestPanicInTheDecisionOnABatch is an internal error with one record.
func TestPanicInTheDecisionOnABatch(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	op, _ := gateway.OpNamed("SignBatch")
	before := len(g.Records())
	var broken sync.Once // a clock, which the conditions of a policy ask
	g.Service.SetClock(func() time.Time { broken.Do(func() { panic("no time") }); return g.Now() })
	c := &gateway.Call{RequestID: noKey, Face: "rest",
		Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleUser, Policies: make([]policy.Attached, 1)}}
	_, err := g.Service.Do(t.Context(), c, op, func(in any) *api.Error {
		*in.(*api.SignBatchRequest) = batchOf(3)
		in.(*api.SignBatchRequest).KeyId = id
		return nil
	})
	if err == nil || err.Code != api.Internal {
		t.Fatalf("%v", err)
	}
	if records := g.Records()[before:]; len(records) != 1 || records[0].Operation != "SignBatch" || records[0].ErrorCode != string(api.Internal) {
		t.Errorf("%+v", records)
	}
}
