package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
)

// item is one signature of a batch. It has a call of its own, as one to Sign would be,
// so that it is decided, counted and recorded as such.
type item struct {
	call Call
	in   api.SignRequest
	what signable
	out  *api.SignResponse
	err  *api.Error
	took time.Duration
}

// distinct is what the decision on an item depends on.
type distinct struct {
	algorithm api.SigningAlgorithm
	message   api.MessageType
	artifact  api.Artifact
	context   string // "" for that of the batch
}

// authorizeBatch makes the items of a batch, counts each as a call, and decides on each
// that differs from those before. Where none may go on, the batch fails as a whole and
// leaves one record, and its answer says of the key what that of Sign would.
func (s *Service) authorizeBatch(c *Call, in *api.SignBatchRequest) *api.Error {
	items := make([]item, len(in.Items))
	decided := make(map[distinct]*item)
	var allowed, failed *item
	for i := range items {
		it := &items[i]
		in.Item(i, &it.in)
		it.call = c.itemCall(in.KeyId)
		if i > 0 { // the first is counted with the call to SignBatch
			it.err = s.limits.call(&it.call, s.now)
		}
		if it.err == nil {
			s.authorizeItem(it, in, i, decided)
		}
		switch {
		case it.err == nil && allowed == nil:
			allowed = it
		case it.err != nil && (failed == nil || graver(it.err, failed.err)):
			failed = it
		}
	}
	if allowed == nil {
		c.record = failed.call.record
		return failed.err
	}
	c.key, c.record.KeyID, c.record.KeyARN = allowed.call.key, allowed.call.record.KeyID, allowed.call.record.KeyARN
	c.decided = items
	return nil
}

// authorizeItem decides on an item as one like it was decided on, if one was.
func (s *Service) authorizeItem(it *item, in *api.SignBatchRequest, i int, decided map[distinct]*item) {
	var check api.Checker
	it.in.Check(&check)
	if it.err = check.Err(); it.err != nil {
		return
	}
	d := distinct{algorithm: it.in.SigningAlgorithm, message: it.in.MessageType}
	if it.in.Artifact != nil {
		d.artifact = *it.in.Artifact
	}
	if own := in.Items[i].SigningContext; own != nil {
		text, _ := json.Marshal(own) // of texts, and sorted
		d.context = string(text)
	}
	if first := decided[d]; first != nil {
		it.call, it.err = first.call, first.err
		it.call.in = &it.in
		it.call.recordContext(&it.in) // the idempotency key is its own
		return
	}
	decided[d] = it
	it.call.in = &it.in
	it.call.recordContext(&it.in)
	it.err = s.authorizeKey(&it.call, in.KeyId, &it.in)
}

// graver says which error of an item is that of a batch of which none may go on: a
// denial tells nothing of the key, and what is malformed says nothing of the others.
func graver(a, b *api.Error) bool {
	rank := func(e *api.Error) int {
		switch e.Code {
		case api.AccessDenied:
			return 2
		case api.Validation:
			return 0
		}
		return 1
	}
	return rank(a) > rank(b)
}

// itemCall is a call of Sign by the caller of a batch.
func (c *Call) itemCall(reference string) Call {
	sign, _ := OpNamed("Sign")
	each := Call{RequestID: c.RequestID, Face: c.Face, Region: c.Region, Principal: c.Principal, AccessKey: c.AccessKey,
		SourceAddress: c.SourceAddress, UserAgent: c.UserAgent, Secure: c.Secure, op: sign}
	each.record.Resource = reference
	return each
}

// failedAlike is the error of a batch: that of its first item, where all have failed of
// one thing. What is said of one digest, such as that it is not approved, is none.
func failedAlike(items []item) *api.Error {
	for i := range items {
		if items[i].err == nil || items[i].err.Code != items[0].err.Code || items[i].err.Message != items[0].err.Message {
			return nil
		}
	}
	return items[0].err
}

// SignBatch signs each item as Sign would. One that fails keeps no other from its
// signature; but where the token is away, the others are not tried.
func (s *Service) SignBatch(ctx context.Context, c *Call, _ *api.SignBatchRequest) (*api.SignBatchResponse, *api.Error) {
	c.items = c.decided
	s.limitItems(c)
	repeats := s.prepareItems(ctx, c)
	s.signItems(ctx, c)
	s.keepAnswers(ctx, repeats)
	for _, r := range repeats {
		it := &c.items[r.item]
		it.out, it.err = r.answer(&it.in)
	}
	if err := failedAlike(c.items); err != nil {
		return nil, err
	}
	out := &api.SignBatchResponse{KeyId: c.record.KeyARN, Results: make([]api.SignBatchResult, len(c.items))}
	for i := range c.items {
		if done := c.items[i].out; done != nil {
			out.Results[i] = api.SignBatchResult{Signature: done.Signature, SigningAlgorithm: done.SigningAlgorithm, KeyVersion: done.KeyVersion}
		} else {
			out.Results[i].Error = itemError(c.items[i].err)
		}
	}
	return out, nil
}

func itemError(err *api.Error) *api.ItemError {
	return &api.ItemError{Code: err.Code, Message: err.Message, RetryAfterSeconds: int((err.RetryAfter + time.Second - 1) / time.Second)}
}

// limitItems counts each item as a call on the key. The first is counted with the call
// to SignBatch.
func (s *Service) limitItems(c *Call) {
	first := true
	for i := range c.items {
		it := &c.items[i]
		if it.err == nil && !first {
			it.err = s.limits.keys(&it.call, s.now)
		}
		first = first && it.err != nil
	}
}

// prepareItems checks what is to be signed, and finds the answers that are kept of items
// with an idempotency key, which are returned.
func (s *Service) prepareItems(ctx context.Context, c *Call) (repeats []*repeatable) {
	used := make(map[string]int)
	for i := range c.items {
		it := &c.items[i]
		if it.err != nil {
			continue
		}
		if it.what, it.err = s.signable(&it.call, &it.in); it.err != nil || it.in.IdempotencyKey == "" || it.in.DryRun {
			continue
		}
		if other, twice := used[it.in.IdempotencyKey]; twice {
			it.err = api.Errorf(api.Validation, "The idempotency key is that of item %d, too. Each item has one of its own.", other+1)
			continue
		}
		used[it.in.IdempotencyKey] = i
		r := newRepeatable(&it.call, &it.in, it.what.input)
		r.item = i
		repeats = append(repeats, r)
	}
	if len(repeats) > 0 {
		s.findAnswers(ctx, repeats, s.keptSince())
	}
	return repeats
}

// signItems signs with as many items at a time as the token has sessions. They are calls
// of one principal, so others have their turns between them.
func (s *Service) signItems(ctx context.Context, c *Call) {
	atOnce := 1
	if token, err := s.tokenOf(c.key); err == nil {
		atOnce = max(1, min(token.Stats().Sessions, len(c.items)))
	}
	var next atomic.Int64
	var away atomic.Pointer[api.Error]
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(c.items)); i = next.Add(1) - 1 {
				it := &c.items[i]
				if it.err != nil || it.call.once != nil && !it.call.once.open() {
					continue
				}
				begun := time.Now()
				if it.err = away.Load(); it.err == nil {
					it.out, it.err = s.signItem(ctx, it)
				}
				it.took = time.Since(begun)
				if once := it.call.once; once != nil && it.err == nil {
					once.made(s, it.out)
				} else if once != nil {
					once.err = it.err
				}
				if it.err != nil && (it.err.Code == api.KeyUnavailable || it.err.Code == api.DependencyTimeout) {
					away.Store(it.err)
				}
			}
		})
	}
	workers.Wait()
}

func (s *Service) signItem(ctx context.Context, it *item) (out *api.SignResponse, err *api.Error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", zap.String("requestId", it.call.RequestID), zap.Any("panic", p), zap.Stack("stack"))
			out, err = nil, internal(it.call.RequestID, fmt.Errorf("panic: %v", p))
		}
	}()
	return s.signature(ctx, &it.call, &it.in, it.what)
}

// appendItems makes a record of each item durable, with one wait for all of them. If
// that fails, no signature leaves.
func (s *Service) appendItems(ctx context.Context, c *Call, start time.Time, err *api.Error) error {
	var records []*audit.Record
	var recorded []*Call
	for i := range c.items {
		it := &c.items[i]
		if it.err == nil && it.out == nil { // the batch came to its end before
			it.err = err
		}
		it.call.complete(s, start, it.err)
		if it.took > 0 {
			it.call.record.LatencyMicros = it.took.Microseconds()
		}
		if !s.recordedBefore(&it.call, it.err) {
			records, recorded = append(records, &it.call.record), append(recorded, &it.call)
		}
	}
	wait, cancel := context.WithTimeout(ctx, s.auditTimeout)
	defer cancel()
	receipts, lost := s.audit.AppendAll(wait, records)
	if lost != nil {
		return lost
	}
	for i, call := range recorded {
		if call.Receipt = receipts[i]; call.record.ErrorCode == "" {
			s.noteRecord(call)
		}
	}
	c.Receipt = c.items[len(c.items)-1].call.Receipt
	return nil
}

// noteItems names the records of the items in the answer, and notes the use of the key.
func (s *Service) noteItems(c *Call, out *api.SignBatchResponse) {
	used := false
	for i := range c.items {
		it := &c.items[i]
		out.Results[i].AuditRecord = it.call.Receipt.String()
		if it.err == nil && !used {
			used = true
			s.uses.note(it.call.key, it.call.record.KeyARN, &it.call, s.now())
		}
	}
}

// denied says whether the call, or an item of the batch, was denied.
func (c *Call) denied(err *api.Error) bool {
	return err != nil && err.Code == api.AccessDenied ||
		slices.ContainsFunc(c.items, func(it item) bool { return it.err != nil && it.err.Code == api.AccessDenied })
}

// failures is how many items have failed.
func (c *Call) failures() (n int) {
	for i := range c.items {
		if c.items[i].err != nil {
			n++
		}
	}
	return n
}
