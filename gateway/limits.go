package gateway

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Limits bound how fast callers may call one daemon. A limit that is left out is
// none: then only the queue in front of the token bounds them.
type Limits struct {
	// Gateway bounds all calls together.
	Gateway Limit `yaml:"gateway"`
	// Principal bounds the calls of each caller. All sessions of a role are one.
	Principal Limit `yaml:"principal"`
	// Key bounds the calls on each key, of those who may make them.
	Key Limit `yaml:"key"`
}

// Limit is a token bucket.
type Limit struct {
	// RequestsPerSecond is how many calls a second are served in the long run. 0 is
	// no limit.
	RequestsPerSecond float64 `yaml:"requests_per_second"`
	// Burst is how many are served at once after a pause. Default the calls of one
	// second.
	Burst int `yaml:"burst"`
}

// Check says what is wrong with a limit, or nothing.
func (l Limit) Check() string {
	switch r := l.RequestsPerSecond; {
	case math.IsNaN(r), math.IsInf(r, 0), r < 0:
		return "requests_per_second is a number of calls; 0 is no limit"
	case l.Burst < 0, l.Burst > 0 && r == 0:
		return "burst is at least 1, beside requests_per_second"
	}
	return ""
}

// buckets are those of one limit by name. A full one is as one that is not there,
// so that memory holds those of callers that have called lately.
type buckets struct {
	limit Limit
	of    string // what one bucket is for, in words
	mu    sync.Mutex
	all   map[string]*rate.Limiter
}

func newBuckets(l Limit, of string) *buckets {
	if l.RequestsPerSecond == 0 {
		return nil
	}
	if l.Burst == 0 {
		l.Burst = int(math.Ceil(min(l.RequestsPerSecond, math.MaxInt32)))
	}
	return &buckets{limit: l, of: of, all: make(map[string]*rate.Limiter)}
}

// take takes one from a bucket, or says when there is one again.
func (b *buckets) take(name string, now time.Time) *api.Error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket, ok := b.all[name]
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(b.limit.RequestsPerSecond), b.limit.Burst)
		b.all[name] = bucket
	}
	taken := bucket.ReserveN(now, 1)
	wait := taken.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	taken.CancelAt(now)
	return &api.Error{Code: api.Throttling, RetryAfter: wait, Message: fmt.Sprintf(
		"You have exceeded the rate at which you may call KMS: %s calls a second %s. Reduce the frequency of your calls.",
		strconv.FormatFloat(b.limit.RequestsPerSecond, 'f', -1, 64), b.of)}
}

// tidy drops the buckets that are full.
func (b *buckets) tidy(now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, bucket := range b.all {
		if bucket.TokensAt(now) >= float64(b.limit.Burst) {
			delete(b.all, name)
		}
	}
}

// limiter holds the buckets of a service.
type limiter struct{ gateway, principal, key *buckets }

func newLimiter(l Limits) limiter {
	return limiter{gateway: newBuckets(l.Gateway, "for the whole gateway"), principal: newBuckets(l.Principal, "for each caller"),
		key: newBuckets(l.Key, "for each key")}
}

// call is for an authenticated call before anything is done for it. A caller that
// is over its own limit takes nothing from the others.
func (l *limiter) call(c *Call, now func() time.Time) *api.Error {
	if l.principal == nil && l.gateway == nil {
		return nil
	}
	at := now()
	if err := l.principal.take(c.sharer(), at); err != nil {
		return err
	}
	return l.gateway.take("", at)
}

// keys is for a call that is allowed: so a stranger takes nothing from a key's
// bucket, nor learns from it that there is a key.
func (l *limiter) keys(c *Call, now func() time.Time) *api.Error {
	if l.key == nil {
		return nil
	}
	at := now()
	for _, part := range []*Call{c.source, c} {
		if part == nil || part.key == nil || part == c && c.source != nil && c.source.record.KeyARN == c.record.KeyARN {
			continue
		}
		if err := l.key.take(part.record.KeyARN, at); err != nil {
			return err
		}
	}
	return nil
}

func (l *limiter) tidy(now time.Time) {
	for _, b := range []*buckets{l.gateway, l.principal, l.key} {
		b.tidy(now)
	}
}
