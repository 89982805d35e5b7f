package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
)

// BenchmarkTracingOff is what traces cost a call while they are off: the span of the
// call, those of two steps and of one call into the token.
func BenchmarkTracingOff(b *testing.B) {
	s, c, ctx, start := &Service{}, &Call{op: &Op{Name: "Sign"}}, context.Background(), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		of := s.startSpan(ctx, c, start)
		s.step(of, "decide")()
		s.traceToken(of, DefaultToken, hsm.Timing{Mechanism: "CKM_ECDSA"})
		s.step(of, "audit append")()
		if c.traceID() != "" {
			b.Fatal("it is traced")
		}
		c.endSpan(nil)
	}
}

// TestTracingOffAllocatesNothing: as the benchmark has it.
func TestTracingOffAllocatesNothing(t *testing.T) {
	s, c, ctx, start := &Service{}, &Call{op: &Op{Name: "Sign"}}, context.Background(), time.Now()
	if n := testing.AllocsPerRun(100, func() {
		of := s.startSpan(ctx, c, start)
		s.step(of, "decide")()
		s.traceToken(of, DefaultToken, hsm.Timing{})
		c.endSpan(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
