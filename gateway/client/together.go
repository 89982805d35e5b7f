package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// together collects the signatures that are asked for while a request for others is under way: they are the next request. So nothing
// waits while the gateway has nothing to do, and requests grow by themselves with the number of callers.
type together struct {
	mu      sync.Mutex
	waiting []*asked
	sending bool
	most    int // items of the next request
}

// asked is one signature that somebody waits for.
type asked struct {
	ctx     context.Context
	in      *api.SignRequest
	item    api.SignBatchItem
	size    int // of the item, in bytes
	attempt int
	done    chan struct{} // closed with out or err
	out     *api.SignResponse
	err     error
}

const (
	firstTogether = 16
	// maxTogether leaves room in a request, of at most 4 MiB, for what is not an item.
	maxTogether = 3 << 20
	// A request that took longer than this is followed by a smaller one, so that callers hear of what was done.
	slowTogether = 500 * time.Millisecond
)

// sign waits for a signature that is asked for with others.
func (t *together) sign(ctx context.Context, c *Client, in *api.SignRequest) (*api.SignResponse, error) {
	a := &asked{ctx: ctx, in: in, attempt: 1, done: make(chan struct{}), item: api.SignBatchItem{Message: in.Message, MessageType: in.MessageType,
		SigningAlgorithm: in.SigningAlgorithm, SigningContext: in.SigningContext, Artifact: in.Artifact, IdempotencyKey: in.IdempotencyKey}}
	text, err := json.Marshal(a.item)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	a.size = len(text) + 1
	t.mu.Lock()
	t.waiting = append(t.waiting, a)
	if !t.sending {
		t.sending = true
		go t.send(c)
	}
	t.mu.Unlock()
	select {
	case <-a.done:
		return a.out, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send asks for what waits until nothing does.
func (t *together) send(c *Client) {
	for batch := t.next(); batch != nil; batch = t.next() {
		begun := time.Now()
		again, pause := c.signTogether(batch)
		t.adapt(len(batch), len(again), time.Since(begun))
		if len(again) > 0 {
			time.Sleep(pause)
			t.mu.Lock()
			t.waiting = append(again, t.waiting...)
			t.mu.Unlock()
		}
	}
}

// next takes the first that waits and those that may go with it; nil when nobody waits.
func (t *together) next() (batch []*asked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.most == 0 {
		t.most = firstTogether
	}
	size := 0
	t.waiting = slices.DeleteFunc(t.waiting, func(a *asked) bool {
		if a.ctx.Err() != nil { // who asked has left
			return true
		}
		if len(batch) == t.most || len(batch) > 0 && (size+a.size > maxTogether || !alike(batch[0].in, a.in)) {
			return false
		}
		batch, size = append(batch, a), size+a.size
		return true
	})
	t.sending = len(batch) > 0
	return batch
}

// alike says whether two may be asked for in one request.
func alike(a, b *api.SignRequest) bool {
	return a.KeyId == b.KeyId && a.DryRun == b.DryRun && slices.Equal(a.GrantTokens, b.GrantTokens)
}

// adapt chooses the size of the next request: twice as large as one that went well, and what was done of one that was too large for a
// limit of rates.
func (t *together) adapt(asked, again int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case again > 0:
		t.most = max(1, asked-again)
	case took > slowTogether:
		t.most = max(firstTogether, asked/2)
	case asked == t.most:
		t.most = min(2*t.most, api.MaxBatch)
	}
}

// signTogether asks for signatures in one request and tells who waits for them. Those that may be had a little later are returned.
func (c *Client) signTogether(batch []*asked) (again []*asked, pause time.Duration) {
	ctx, end := forAll(batch)
	defer end()
	first := batch[0]
	if len(batch) == 1 {
		first.out, first.err = c.signAlone(ctx, first.in)
		close(first.done)
		return nil, 0
	}
	in := &api.SignBatchRequest{KeyTarget: first.in.KeyTarget, GrantTokens: first.in.GrantTokens, DryRun: first.in.DryRun}
	for _, a := range batch {
		in.Items = append(in.Items, a.item)
	}
	out, err := c.SignBatch(ctx, in)
	if err == nil && len(out.Results) != len(batch) {
		err = fmt.Errorf("the answer of %s has %d results for %d signatures", c.URL, len(out.Results), len(batch))
	}
	progress := err == nil && slices.ContainsFunc(out.Results, func(r api.SignBatchResult) bool { return r.Error == nil })
	for i, a := range batch {
		if a.err = err; err == nil {
			a.take(out.KeyId, &out.Results[i])
		}
		if progress {
			a.attempt = 1
		}
		var refused *ResponseError
		if err == nil && errors.As(a.err, &refused) { // an err of all was tried again by SignBatch
			if wait, more := c.pause(a.err, a.attempt, true); more {
				a.attempt++
				again, pause = append(again, a), max(pause, wait)
				continue
			}
		}
		close(a.done)
	}
	return again, pause
}

// take makes the answer of an item that of Sign.
func (a *asked) take(key string, r *api.SignBatchResult) {
	a.out, a.err = nil, nil
	if e := r.Error; e != nil {
		a.err = &ResponseError{Status: e.Code.RESTStatus(), Err: &api.Error{Code: e.Code, Message: e.Message, RetryAfter: time.Duration(e.RetryAfterSeconds) * time.Second}}
		return
	}
	a.out = &api.SignResponse{KeyId: key, Signature: r.Signature, SigningAlgorithm: r.SigningAlgorithm, KeyVersion: r.KeyVersion, AuditRecord: r.AuditRecord}
}

// forAll is a context that ends once all who ask have left.
func forAll(batch []*asked) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(batch[0].ctx))
	var left atomic.Int64
	left.Store(int64(len(batch)))
	var stops []func() bool
	for _, a := range batch {
		stops = append(stops, context.AfterFunc(a.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
