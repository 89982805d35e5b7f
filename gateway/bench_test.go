package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

func benchGateway(b *testing.B) (*gatewaytest.Gateway, string) {
	b.Helper()
	out, err := os.Create(filepath.Join(b.TempDir(), "operations.log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = out.Close() })
	g := gatewaytest.NewWith(b, gatewaytest.Options{Log: gateway.NewLog(out, zap.InfoLevel)})
	return g, g.CreateKey(api.P256, api.SignVerify).KeyId
}

// cpu is the user and system time that this process has used, in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkDo is a P-256 signature through the pipeline, without a face.
func BenchmarkDo(b *testing.B) {
	g, key := benchGateway(b)
	benchmarkDo(b, g, key)
}

// BenchmarkDoPolicy is the same, where a key policy with conditions decides.
func BenchmarkDoPolicy(b *testing.B) {
	g, key := benchGateway(b)
	g.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": document(byAccount,
		statement("Deny", "*", "kms:*", `{"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`),
		statement("Allow", g.Admin.ARN, "kms:Sign", `{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"},"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`))}, nil)
	benchmarkDo(b, g, key)
}

func benchmarkDo(b *testing.B, g *gatewaytest.Gateway, key string) {
	b.Helper()
	op, _ := gateway.OpNamed("Sign")
	admin := policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}
	digest := make([]byte, 32)
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	begun := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := &gateway.Call{RequestID: "00000000-0000-4000-8000-000000000000", Face: "rest", Principal: admin, SourceAddress: "127.0.0.1", UserAgent: "bench"}
			_, err := g.Service.Do(b.Context(), c, op, func(in any) *api.Error {
				r := in.(*api.SignRequest)
				r.KeyId, r.Message, r.MessageType, r.SigningAlgorithm = key, digest, api.Digest, api.ECDSASHA256
				return nil
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-begun)/float64(b.N)/1e3, "cpu-µs/op")
}

// BenchmarkToken is the same signature by the token layer alone.
func BenchmarkToken(b *testing.B) {
	g, id := benchGateway(b)
	stored, _ := g.Store.Key(gatewaytest.Region, id)
	key, err := gateway.TokenKey(stored)
	if err != nil {
		b.Fatal(err)
	}
	digest := make([]byte, 32)
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	begun := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Token.Sign(b.Context(), key, gateway.ECDSASHA256, digest); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-begun)/float64(b.N)/1e3, "cpu-µs/op")
}

// BenchmarkREST is the same over HTTP on loopback; the client's cost is in it.
func BenchmarkREST(b *testing.B) {
	g, key := benchGateway(b)
	body, err := json.Marshal(api.SignRequest{Message: make([]byte, 32), MessageType: api.Digest, SigningAlgorithm: api.ECDSASHA256})
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.Cleanup(client.CloseIdleConnections)
	var refused atomic.Int64
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	begun := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, g.URL+"/v1/keys/"+key+"/sign", bytes.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+g.Admin.Token)
			r.Header.Set("Content-Type", "application/json")
			answer, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				refused.Add(1)
			}
		}
	})
	if refused.Load() != 0 {
		b.Errorf("%d were refused", refused.Load())
	}
	b.ReportMetric(float64(cpu(b)-begun)/float64(b.N)/1e3, "cpu-µs/op")
}
