package gateway_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// BenchmarkDenial tells how long denials take on a key that is there, with a policy of its own, and on none, in turn:
// the medians, and Welch's t of the times without the slowest tenth. An |t| of some 5 and more is what an observer
// could tell them apart by.
func BenchmarkDenial(b *testing.B) {
	g, key := benchGateway(b)
	g.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": document(byAccount,
		statement("Deny", "*", "kms:*", `{"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`),
		statement("Allow", g.Admin.ARN, "kms:Sign", `{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"}}`))}, nil)
	stranger := policy.Principal{ARN: "arn:aws:iam::" + gatewaytest.Account + ":user/stranger", Role: policy.RoleUser}
	op, _ := gateway.OpNamed("Sign")
	deny := func(name string) float64 {
		c := &gateway.Call{RequestID: "00000000-0000-4000-8000-000000000000", Face: "rest", Principal: stranger, SourceAddress: "127.0.0.1", UserAgent: "bench"}
		begun := time.Now()
		_, err := g.Service.Do(b.Context(), c, op, func(in any) *api.Error {
			r := in.(*api.SignRequest)
			r.KeyId, r.Message, r.MessageType, r.SigningAlgorithm = name, make([]byte, 32), api.Digest, api.ECDSASHA256
			return nil
		})
		if err == nil || err.Code != api.AccessDenied {
			b.Fatal(err)
		}
		return float64(time.Since(begun).Nanoseconds())
	}
	var forbidden, unknown []float64
	const none = "1234abcd-12ab-34cd-56ef-1234567890ab"
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 { // neither always comes after the other
			forbidden, unknown = append(forbidden, deny(key)), append(unknown, deny(none))
		} else {
			unknown, forbidden = append(unknown, deny(none)), append(forbidden, deny(key))
		}
	}
	mf, vf, nf := spread(forbidden)
	mu, vu, nu := spread(unknown)
	b.ReportMetric(forbidden[len(forbidden)/2], "forbidden-ns")
	b.ReportMetric(unknown[len(unknown)/2], "unknown-ns")
	b.ReportMetric((mf-mu)/math.Sqrt(vf/nf+vu/nu), "t")
}

// spread sorts the times and gives mean, variance and number of the fastest nine tenths.
func spread(times []float64) (mean, variance, n float64) {
	slices.Sort(times)
	times = times[:max(len(times)*9/10, 1)]
	n = float64(len(times))
	for _, t := range times {
		mean += t / n
	}
	for _, t := range times {
		variance += (t - mean) * (t - mean) / n
	}
	return mean, variance, n
}
