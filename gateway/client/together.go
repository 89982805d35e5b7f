package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// together collects the signatures that are asked for while a request for others of the same key is under way: they are the next
// request. So nothing waits while the gateway has nothing to do, and requests grow by themselves with the number of callers.
type together struct {
	mu    sync.Mutex
	lanes map[string]*lane // each is there while somebody waits in it
}

// lane is what may go in one request.
type lane struct {
	all     *together
	name    string
	waiting []*asked
	most    int // items of the next request
}

// asked is one signature that somebody waits for.
type asked struct {
	ctx     context.Context // once it ends, nothing is asked for any more
	stays   context.Context // ends when nobody waits for the answer
	in      *api.SignRequest
	item    api.SignBatchItem
	size    int // of the item, in bytes
	attempt int
	done    chan struct{} // closed with out or err
	out     *api.SignResponse
	err     error

	sent bool  // it is in the request that is under way
	last error // of the attempt before
}

const (
	// maxTogether leaves room in a request, of at most 4 MiB, for what is not an item.
	maxTogether = 3 << 20
	// A request that took longer than this is followed by one that is no larger, so that callers hear of what was done; but not by
	// one of fewer than fewTogether, since it may be the way that is long.
	slowTogether = 500 * time.Millisecond
	fewTogether  = 16
	// atOnceAlone is how many of those that a request was refused for are asked for at a time, each alone.
	atOnceAlone = 4
)

// sign waits for a signature that is asked for with others.
func (t *together) sign(ctx context.Context, c *Client, in *api.SignRequest) (*api.SignResponse, error) {
	stays, leave := lingering(ctx, c.Linger)
	defer leave()
	a := &asked{ctx: ctx, stays: stays, in: in, attempt: 1, done: make(chan struct{}), item: api.SignBatchItem{Message: in.Message, MessageType: in.MessageType,
		SigningAlgorithm: in.SigningAlgorithm, SigningContext: in.SigningContext, Artifact: in.Artifact, IdempotencyKey: in.IdempotencyKey}}
	text, err := json.Marshal(a.item)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	a.size = len(text) + 1
	t.add(c, a)
	select {
	case <-a.done:
		return a.out, a.err
	case <-ctx.Done():
	}
	sent, last := t.left(a)
	if sent {
		select {
		case <-a.done:
			return a.out, a.err
		case <-stays.Done():
		}
	}
	return nil, errors.Join(ctx.Err(), last)
}

// add has a signature asked for by the next request of its lane, for which there may be none.
func (t *together) add(c *Client, a *asked) {
	name := laneOf(a.in)
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[name]
	if l == nil {
		if t.lanes == nil {
			t.lanes = make(map[string]*lane)
		}
		l = &lane{all: t, name: name, most: 1}
		t.lanes[name] = l
		go l.send(c)
	}
	l.waiting = append(l.waiting, a)
}

// laneOf is the same for what may go in one request.
func laneOf(in *api.SignRequest) string {
	return fmt.Sprintf("%q %t %q %t", in.KeyId, in.DryRun, in.GrantTokens, in.IdempotencyKey != "")
}

// left says of a signature whose caller's context has ended whether it is under way, and why it was not made before.
func (t *together) left(a *asked) (sent bool, last error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return a.sent, a.last
}

// send asks for what waits until nothing does.
func (l *lane) send(c *Client) {
	for batch := l.next(); batch != nil; batch = l.next() {
		begun := time.Now()
		again, pause, failed := c.signTogether(batch)
		l.adapt(c, len(batch), len(again), failed, time.Since(begun))
		if len(again) > 0 {
			l.putBack(again)
			pauseFor(again, pause)
		}
	}
}

// next takes the first that waits and those that may go with it; nil when nobody waits, which ends the lane.
func (l *lane) next() (batch []*asked) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	size := 0
	l.waiting = slices.DeleteFunc(l.waiting, func(a *asked) bool {
		if a.ctx.Err() != nil { // who asked has left
			return true
		}
		if len(batch) == l.most || len(batch) > 0 && size+a.size > maxTogether {
			return false
		}
		batch, size, a.sent = append(batch, a), size+a.size, true
		return true
	})
	if batch == nil {
		delete(l.all.lanes, l.name)
	}
	return batch
}

// putBack has them asked for by the next request.
func (l *lane) putBack(again []*asked) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	for _, a := range again {
		a.sent, a.last = false, a.err
	}
	l.waiting = append(again, l.waiting...)
}

// adapt chooses the size of the next request: twice as large as one that went well, what was done of one that was too large for a
// limit of rates, and smaller than one that failed or that nearly took as long as is waited for an answer.
func (l *lane) adapt(c *Client, asked, again int, failed bool, took time.Duration) {
	longest := c.client().Timeout / 4
	switch {
	case failed, longest > 0 && took > longest:
		l.most = max(1, asked/2)
		return
	case again > 0:
		l.most = max(1, asked-again)
		return
	case asked == l.most:
		l.most = min(2*l.most, api.MaxBatch)
	}
	if took > slowTogether {
		l.most = min(l.most, max(fewTogether, asked/2))
	}
}

// signTogether asks for signatures in one request and tells who waits for them. Those that may be had a little later are returned,
// and whether the request failed without a decision.
func (c *Client) signTogether(batch []*asked) (again []*asked, pause time.Duration, failed bool) {
	ctx, end := whileAnyStays(batch)
	err := c.ask(ctx, batch)
	end()
	progress := slices.ContainsFunc(batch, func(a *asked) bool { return a.err == nil })
	var over []*asked
	for _, a := range batch {
		if progress {
			a.attempt = 1
		}
		wait, more := c.pause(a.err, a.attempt, a.in.IdempotencyKey != "")
		if !more || a.ctx.Err() != nil || !fits(a.ctx, wait) {
			over = append(over, a)
			continue
		}
		a.attempt++
		again, pause = append(again, a), max(pause, wait)
	}
	if len(batch) > 1 && mayAlone(err, batch[0].in.IdempotencyKey != "") {
		c.signEachAlone(over)
	}
	for _, a := range over {
		close(a.done)
	}
	return again, pause, err != nil && decided(err) == nil
}

// ask makes one attempt at signatures. The error is that of all of them.
func (c *Client) ask(ctx context.Context, batch []*asked) error {
	first := batch[0]
	if len(batch) == 1 {
		first.out, first.err = c.signAlone(ctx, first.in, true)
		return first.err
	}
	in := &api.SignBatchRequest{KeyTarget: first.in.KeyTarget, GrantTokens: first.in.GrantTokens, DryRun: first.in.DryRun}
	for _, a := range batch {
		in.Items = append(in.Items, a.item)
	}
	r := post(key(in.KeyId, "/sign-batch"), false)
	r.once = true
	out, err := call[api.SignBatchResponse](ctx, c, r, in)
	if err == nil && len(out.Results) != len(batch) {
		err = fmt.Errorf("the answer of %s has %d results for %d signatures", c.URL, len(out.Results), len(batch))
	}
	for i, a := range batch {
		if a.err = err; err == nil {
			a.take(out.KeyId, &out.Results[i])
		}
	}
	return err
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

// decided is a refusal that another attempt would not change; nil for any other error.
func decided(err error) *ResponseError {
	var refused *ResponseError
	if !errors.As(err, &refused) {
		return nil
	}
	if passing, _ := refused.passing(); passing {
		return nil
	}
	return refused
}

// mayAlone says whether those of a request that failed are asked for once more, each alone. The gateway refuses a request of which no
// item may go on with the gravest error and one record: alone, each has its own. And one may be had in the time that many were waited
// for. What may have been made is asked for again only if it is not made twice.
func mayAlone(err error, keyed bool) bool {
	if refused := decided(err); refused != nil {
		return refused.Err.Code != api.DryRunOperation && (keyed || refused.Status < http.StatusInternalServerError) // a dry run has succeeded
	}
	return keyed && late(err)
}

// signEachAlone asks for signatures in a request each, a few at a time. Where none of a few has an answer in time the others keep the
// error that they have.
func (c *Client) signEachAlone(all []*asked) {
	for some := range slices.Chunk(all, atOnceAlone) {
		var wait sync.WaitGroup
		for _, a := range some {
			wait.Go(func() {
				if a.err = a.ctx.Err(); a.err == nil {
					a.out, a.err = c.signAlone(a.stays, a.in, false)
				}
			})
		}
		wait.Wait()
		if !slices.ContainsFunc(some, func(a *asked) bool { return !late(a.err) }) {
			return
		}
	}
}

// late says whether no answer came in time.
func late(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
