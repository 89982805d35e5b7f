package rest_test

import (
	"net"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestForgedAddressesAreNotAudited: without trusted proxies no header says who
// calls; with them X-Forwarded-For counts from the right, up to the first
// address that is not a proxy's.
func TestForgedAddressesAreNotAudited(t *testing.T) {
	t.Parallel()
	network := func(s string) *net.IPNet {
		_, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	loopback, inner := network("127.0.0.0/8"), network("10.0.0.0/8")
	for name, c := range map[string]struct {
		trusted []*net.IPNet
		header  []string
		want    string
	}{
		"forged":                  {nil, []string{"X-Forwarded-For", "8.8.8.8"}, "127.0.0.1"},
		"forged, other headers":   {nil, []string{"X-Real-Ip", "8.8.8.8", "Forwarded", "for=8.8.8.8", "X-Forwarded", "8.8.8.8", "True-Client-Ip", "8.8.8.8"}, "127.0.0.1"},
		"not through a proxy":     {[]*net.IPNet{inner}, []string{"X-Forwarded-For", "8.8.8.8"}, "127.0.0.1"},
		"through a proxy":         {[]*net.IPNet{loopback}, []string{"X-Forwarded-For", "8.8.8.8"}, "8.8.8.8"},
		"forged before the proxy": {[]*net.IPNet{loopback}, []string{"X-Forwarded-For", "1.1.1.1, 8.8.8.8"}, "8.8.8.8"},
		"through two proxies":     {[]*net.IPNet{loopback, inner}, []string{"X-Forwarded-For", "1.1.1.1, 8.8.8.8, 10.1.2.3"}, "8.8.8.8"},
		"private is not trusted":  {[]*net.IPNet{loopback}, []string{"X-Forwarded-For", "1.1.1.1, 192.168.1.1"}, "192.168.1.1"},
		"proxy without header":    {[]*net.IPNet{loopback}, nil, "127.0.0.1"},
		"rubbish":                 {[]*net.IPNet{loopback}, []string{"X-Forwarded-For", "8.8.8.8, <script>"}, "127.0.0.1"},
		"only X-Real-IP":          {[]*net.IPNet{loopback}, []string{"X-Real-Ip", "8.8.8.8"}, "127.0.0.1"},
	} {
		g := gatewaytest.NewWith(t, gatewaytest.Options{Trusted: c.trusted})
		g.Send(g.Admin.Token, "GET", "/v1/keys", nil, c.header...)
		g.Send(g.Admin.Token, "GET", "/v1/none", nil, c.header...)
		for _, r := range outcomes(g) {
			if r.SourceAddress != c.want {
				t.Errorf("%s, %s: %q is audited, want %q", name, r.Operation, r.SourceAddress, c.want)
			}
		}
	}
}
