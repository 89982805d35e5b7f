package gateway

import (
	"crypto/x509"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// TestStampsInTurn: calls at the same time get times in the order in which they ask, so that none takes the clock for one
// that went back. This clock goes on with each look.
func TestStampsInTurn(t *testing.T) {
	begin := time.Now()
	stamps := &Timestamps{Authority: timestamp.Authority{Certificates: []*x509.Certificate{{NotBefore: begin, NotAfter: begin.Add(time.Hour)}}}}
	var looks, refused atomic.Int64
	clock := func() time.Time { return begin.Add(time.Duration(looks.Add(1)) * time.Millisecond) }
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 2000 {
				if _, err := stamps.time(clock); err != nil {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	if refused.Load() != 0 {
		t.Errorf("%d of %d times are refused", refused.Load(), looks.Load())
	}
	if _, err := stamps.time(func() time.Time { return begin.Add(time.Second) }); err == nil {
		t.Error("a clock that went back is not noticed")
	}
}
