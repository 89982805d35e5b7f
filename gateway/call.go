package gateway

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// Call is one authenticated request on its way through the pipeline.
type Call struct {
	RequestID     string
	Face          string // rest, aws
	Region        string // that the call is sent to; "" is the home region
	Principal     policy.Principal
	AccessKey     string // that the call is signed with; "" for none
	SourceAddress string
	UserAgent     string
	Secure        bool   // it came over TLS
	Path          string // what a call asked for that no operation is found for; see Reject

	// Renew authenticates the caller again, for a call whose body takes its time
	// to come. Nil where that is bounded.
	Renew func() (policy.Principal, *api.Error)

	// Receipt names the durable audit record once Do has returned a result.
	Receipt audit.Receipt

	op    *Op
	in    any          // the request, of which conditions may ask
	key   *store.Key   // the key that the call is about, once resolved
	alias string       // that named the key, if one did
	grant *store.Grant // that RetireGrant is about

	workload *workload // that calls to be given a session
	// badToken is what is wrong with the grant tokens, which only who may make the
	// call is told.
	badToken *api.Error
	source   *Call       // of ReEncrypt: the same call, about the key that decrypts
	whole    *Call       // of such a source: the call that it is a part of
	decided  []item      // of SignBatch; see authorizeBatch
	items    []item      // the same, once they are tried: each has a record of its own
	once     *repeatable // of Sign with an idempotency key
	counted  string      // id of the grant that allows the call, a use of which is to be taken; see takeUse
	free     bool        // a dry run, which takes none, although it uses the key
	// Of a call that is explained and not made: when it comes, and who is told of each
	// decision.
	at        time.Time
	explained func(question, policy.Request, policy.Decision)

	span   trace.Span // nil where calls are not traced
	record audit.Record
	undo   func() // takes back what was made when its record could not be kept
	unlock func() // see release and Op.changes
}

// undoBy sets how the change that the call made is taken back when its record
// cannot be kept.
func (c *Call) undoBy(s *Service, change func(context.Context) error) {
	c.undo = func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.auditTimeout)
		defer cancel()
		if err := change(ctx); err != nil {
			s.log.Error("a change without an audit record could not be taken back",
				zap.String("requestId", c.RequestID), zap.String("operation", c.op.Name), zap.String("resource", c.record.Resource), zap.Error(err))
			return
		}
		// The record may have reached the disk all the same, after its time was over.
		s.log.Warn("a change without an audit record was taken back",
			zap.String("requestId", c.RequestID), zap.String("operation", c.op.Name), zap.String("resource", c.record.Resource))
	}
}

// Do performs one operation for an authenticated caller and leaves exactly one
// audit record of its outcome. decode fills the empty request of the operation.
func (s *Service) Do(ctx context.Context, c *Call, op *Op, decode func(in any) *api.Error) (any, *api.Error) {
	start := time.Now()
	c.op = op
	ctx = s.startSpan(ctx, c, start)
	ctx = hsm.WithCaller(ctx, policy.Sharer(c.Principal.ARN)) // callers take turns at the token
	defer func() {
		c.release()
		c.letRepeat()
	}()
	out, err := s.attempt(ctx, c, decode)
	err = s.keepRecord(ctx, c, start, err)
	took := time.Since(start)
	if err == nil {
		err = s.withReceipt(ctx, c, out)
	}
	s.tell(c, err, took)
	if c.denied(err) {
		c.release()
		holdDenial(ctx, start)
	}
	if err != nil {
		if plain, ok := out.(wiper); ok {
			plain.Wipe()
		}
		return nil, err
	}
	if batch, ok := out.(*api.SignBatchResponse); ok {
		s.noteItems(c, batch)
	}
	return out, nil
}

// release ends the call's right to change.
func (c *Call) release() {
	if c.unlock != nil {
		c.unlock()
		c.unlock = nil
	}
}

// wiper is what holds a plaintext that is to be cleared when it was used.
type wiper interface{ Wipe() }

// Reject records an authenticated call that no operation can be found for.
func (s *Service) Reject(ctx context.Context, c *Call, name string, err *api.Error) *api.Error {
	c.op, c.record.Resource = &Op{Name: name}, c.Path
	if over := s.limits.call(c, s.now); over != nil {
		err = over
	}
	start := time.Now()
	return s.finish(s.startSpan(ctx, c, start), c, start, err)
}

// attempt performs the call. A panic is an internal error and is recorded like
// any other.
func (s *Service) attempt(ctx context.Context, c *Call, decode func(in any) *api.Error) (out any, err *api.Error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", zap.String("requestId", c.RequestID), zap.Any("panic", p), zap.Stack("stack"))
			out, err = nil, internal(c.RequestID, fmt.Errorf("panic: %v", p))
		}
	}()
	return s.perform(ctx, c, decode)
}

// perform is steps 1 to 4: decode and validate, resolve, decide, run.
func (s *Service) perform(ctx context.Context, c *Call, decode func(in any) *api.Error) (any, *api.Error) {
	if err := s.able(c.op.reads); err != nil {
		return nil, err
	}
	if err := s.limits.call(c, s.now); err != nil {
		return nil, err
	}
	in := c.op.New()
	unreadable := decode(in)
	if named, ok := in.(interface{ KeyRef() string }); ok {
		c.record.Resource = named.KeyRef() // so that the record of a malformed call names its key, too
	}
	if unreadable != nil {
		return nil, unreadable
	}
	var check api.Checker
	in.(request).Check(&check)
	if err := check.Err(); err != nil {
		return nil, err
	}
	if plain, ok := in.(wiper); ok {
		defer plain.Wipe()
	}
	c.recordContext(in)
	if named, ok := in.(interface{ Alias() string }); ok {
		if err := checkAliasName(named.Alias()); err != nil {
			return nil, err
		}
	}
	if err := s.checkRegion(c); err != nil {
		return nil, err
	}
	if granted, ok := in.(interface{ Tokens() []string }); ok && len(granted.Tokens()) > 0 {
		c.badToken = s.heardOf(ctx, c, granted.Tokens())
	}
	if c.op.changes {
		s.changes.Lock()
		c.unlock = s.changes.Unlock
	}
	decided := s.step(ctx, "decide")
	denied := s.authorize(c, in)
	decided()
	if denied != nil {
		return nil, denied
	}
	if c.badToken != nil {
		return nil, c.badToken
	}
	if err := s.limits.keys(c, s.now); err != nil {
		return nil, err
	}
	out, err := c.op.run(ctx, s, c, in)
	switch {
	case err == nil: // of a call that needs no private key, whose result is thrown away then
		err = s.takeUse(ctx, c)
	case err.Code == api.DryRunOperation:
		s.explainDryRun(c, err)
	}
	return out, err
}

// able refuses a call that could not be decided or recorded, before anything is
// done. A revocation in a database that cannot be read would not be seen, so what
// only reads goes on for a bounded time, and nothing else does. Only a log that is
// known to be broken is asked anew: each question to a healthy one would wait for
// the disk.
func (s *Service) able(reads bool) *api.Error {
	if err := s.store.Ready(); err != nil {
		switch {
		case s.store.Stale() >= s.staleLimit:
			return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: err,
				Message: "The gateway cannot read its database now, so it decides nothing. An operator has to look at the database; then try again."}
		case !reads:
			return unchanged(err)
		}
	}
	if s.audit.Broken() == nil {
		return nil
	}
	if err := s.audit.Ready(); err != nil {
		return notRecorded(err)
	}
	return nil
}

// finish is step 5 of a call whose result needs no receipt.
func (s *Service) finish(ctx context.Context, c *Call, start time.Time, err *api.Error) *api.Error {
	err = s.keepRecord(ctx, c, start, err)
	s.tell(c, err, time.Since(start))
	return err
}

// keepRecord makes the record durable, or the result is thrown away.
func (s *Service) keepRecord(ctx context.Context, c *Call, start time.Time, err *api.Error) *api.Error {
	r := &c.record
	c.complete(s, start, err)

	appended := s.step(ctx, "audit append")
	lost := s.append(context.WithoutCancel(ctx), c, start, err) // the caller may be gone; what was done is recorded all the same
	appended()
	if lost != nil {
		if c.undo != nil {
			c.undo()
		}
		err = notRecorded(lost)
		r.Outcome, r.ErrorCode = string(api.Failed), string(err.Code)
	}
	if err == nil && c.op.tracked && c.key != nil && !c.repeats() {
		s.uses.note(c.key, r.KeyARN, c, s.now())
		if from := c.source; from != nil {
			s.uses.note(from.key, from.record.KeyARN, c, s.now())
		}
	}
	return err
}

// tell says to the log, the trace and the metrics what the caller is answered; took ends with the durable record.
func (s *Service) tell(c *Call, err *api.Error, took time.Duration) {
	s.logCall(c, err)
	c.endSpan(err)
	now := time.Now()
	s.metrics.observe(c, err, took, now)
	for i := range c.items {
		s.metrics.observe(&c.items[i].call, cmp.Or(c.items[i].err, err), time.Duration(c.items[i].call.record.LatencyMicros)*time.Microsecond, now)
	}
}

// identify fills in the record what is known of a call before its end.
func (c *Call) identify(s *Service) {
	r := &c.record
	r.Origin, r.RequestID, r.Face, r.Operation = s.name, c.RequestID, c.Face, c.op.Name
	r.CredentialID, r.Provider, r.Subject = c.Principal.CredentialID, c.Principal.IdentityProvider, c.Principal.IdentitySubject
	r.Principal, r.SourceAddress, r.UserAgent = c.Principal.ARN, c.SourceAddress, c.UserAgent
}

// complete fills in the record of a call that has come to its end.
func (c *Call) complete(s *Service, start time.Time, err *api.Error) {
	r := &c.record
	c.identify(s)
	r.Time, r.Outcome = start.UTC(), string(api.Allowed)
	if err != nil {
		r.Outcome, r.ErrorCode, r.SignatureHash = string(err.Code.Outcome()), string(err.Code), ""
	}
	r.LatencyMicros = time.Since(start).Microseconds()
	c.recordSource()
}

// append makes the record of a call durable, or of a batch that of each item.
func (s *Service) append(ctx context.Context, c *Call, start time.Time, err *api.Error) (lost error) {
	if c.items != nil {
		return s.appendItems(ctx, c, start, err)
	}
	if s.recordedBefore(c, err) {
		return nil
	}
	c.Receipt, lost = s.audit.Append(ctx, &c.record)
	if lost == nil && err == nil {
		s.noteRecord(c)
	}
	return lost
}
