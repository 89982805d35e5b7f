package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestReceiptOfAnotherProcess: a repeat is vouched for by a record in the log of the
// process that signed. Under its number this one's log has the record of somebody else.
func TestReceiptOfAnotherProcess(t *testing.T) {
	t.Parallel()
	g := withTree(t, gatewaytest.Options{})
	beside := gatewaytest.NewWith(t, gatewaytest.Options{Beside: g, Name: "two", Tree: &gateway.Tree{Origin: logName + "/two", Interval: 50 * time.Millisecond}})
	for _, p := range []*gatewaytest.Gateway{g, beside} {
		p.Store.Watch(t.Context())
	}
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser, id)
	until(t, "the other process sees the key", func() bool { _, ok := beside.Store.Key(gatewaytest.Region, id); return ok })
	for range 20 {
		signOnce(t, beside, g.Admin, id, once("", "m"))
	}
	in := once("k", "m")
	first := signOnce(t, g, user, id, in)
	in.Receipt = true
	a := beside.Send(user.Token, "POST", "/v1/keys/"+id+"/sign", in)
	if a.Status == 200 || a.Code() != string(api.ReceiptUnavailable) || strings.Contains(string(a.Body), g.Admin.ARN) || !strings.Contains(string(a.Body), "process one") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	first.same(t, "where it was signed", signOnce(t, g, user, id, in))
	in.Receipt = false
	first.same(t, "without a receipt", signOnce(t, beside, user, id, in))
}
