package gateway_test

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestBatchItemsAreInTheMetrics as calls of Sign, of their key and caller.
func TestBatchItemsAreInTheMetrics(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	in := batchOf(5)
	in.Items[4].Message = in.Items[4].Message[:31]
	signBatch(t, g, g.Admin, id, in)
	text := string(g.Send(g.Admin.Token, "GET", "/metrics", nil).Body)
	for _, line := range []string{
		`hsmgate_calls_total{operation="Sign",outcome="allowed"} 4`, `hsmgate_calls_total{operation="Sign",outcome="invalid"} 1`,
		`hsmgate_calls_total{operation="SignBatch",outcome="allowed"} 1`, `hsmgate_call_seconds_count{operation="Sign"} 5`,
		`hsmgate_call_errors_total{code="ValidationException"} 1`,
		`hsmgate_key_calls_total{key="` + id + `",operation="Sign",outcome="allowed"} 4`,
		`hsmgate_principal_calls_total{operation="Sign",outcome="allowed",principal="` + g.Admin.ARN + `"} 4`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no line %s", line)
		}
	}
}
