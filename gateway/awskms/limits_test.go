package awskms_test

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestOverALimit: as AWS KMS answers it, so that SDKs wait and try again.
func TestOverALimit(t *testing.T) {
	t.Parallel()
	f := newFaceWith(t, gatewaytest.Options{Limits: gateway.Limits{Principal: gateway.Limit{RequestsPerSecond: 0.001, Burst: 1}}})
	if a := f.do(t, f.sign(&f.Admin, "TrentService.ListKeys", "{}")); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, target := range []string{"TrentService.ListKeys", "TrentService.Nothing"} {
		a := f.do(t, f.sign(&f.Admin, target, "{}"))
		if a.status != 400 || a.code != string(api.Throttling) || !strings.HasPrefix(a.message, "You have exceeded the rate at which you may call KMS") {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
		if r := f.Records(); r[len(r)-1].ErrorCode != string(api.Throttling) {
			t.Errorf("%+v", r[len(r)-1])
		}
	}
}
