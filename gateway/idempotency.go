package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A repeat of a request is answered with the signature that the first one made, and the
// log has one record of it. For that, each step leaves behind what the next one needs,
// whatever ends the process in between:
//
//	1 find      no answer is kept under the key
//	2 sign      a crash here leaves nothing: nobody has that signature
//	3 keep      the answer, sealed, in the database. A crash from here on: a repeat finds it,
//	            and looks in the log of this process whether it was recorded
//	4 record    in the audit log. Only then the signature leaves
//	5 note      the record beside the answer, a moment later, for other processes
//	6 make up   for the record of an answer that nobody asks for again; see recordLeft
//
// From 1 to 4, who repeats a request in this process waits. Of two processes, the first
// to keep its answer decides; the other throws its signature away.

// Idempotency says how answers to requests with an idempotency key are kept.
type Idempotency struct {
	// Keep is how long a repeat of a request with an idempotency key is given the answer
	// of the first one, from 1m to 720h. After that it is a new request. Default 24h.
	Keep time.Duration `yaml:"keep"`
	// PerPrincipal is how many answers are kept of one caller. Those that are older than so
	// many go, within about a minute. Default 100000.
	PerPrincipal int `yaml:"per_principal"`
}

func (i Idempotency) withDefaults() Idempotency {
	if i.Keep == 0 {
		i.Keep = 24 * time.Hour
	}
	if i.PerPrincipal == 0 {
		i.PerPrincipal = 100_000
	}
	return i
}

// repeatable is a request with an idempotency key.
type repeatable struct {
	call    *Call
	item    int // of a batch
	name    store.AnswerName
	request [sha256.Size]byte
	release func()        // lets who repeats the request go on
	kept    *store.Answer // found or made
	found   bool          // it was there before
	record  string        // receipt, where the answer is recorded already
	err     *api.Error
}

func newRepeatable(c *Call, in *api.SignRequest, input []byte) *repeatable {
	asked, _ := json.Marshal(struct { // of texts: this cannot fail
		Algorithm api.SigningAlgorithm
		Type      string
		Input     []byte
		Context   map[string]string
		Artifact  *api.Artifact
	}{in.SigningAlgorithm, c.record.MessageType, input, in.SigningContext, in.Artifact})
	c.once = &repeatable{call: c, request: sha256.Sum256(asked),
		name: store.AnswerName{Principal: c.Principal.ARN, KeyARN: c.record.KeyARN, IdempotencyKey: in.IdempotencyKey}}
	return c.once
}

// findAnswers waits for others with the same requests, and finds what is kept of each since a time.
// All are of one caller and key.
func (s *Service) findAnswers(ctx context.Context, all []*repeatable, since time.Time) {
	inOrder := slices.Clone(all) // so that no two batches wait for each other
	slices.SortFunc(inOrder, func(a, b *repeatable) int {
		return bytes.Compare([]byte(a.name.IdempotencyKey), []byte(b.name.IdempotencyKey))
	})
	for _, r := range inOrder {
		if r.release = s.once.take(ctx, r.name); r.release == nil {
			failAll(all, &api.Error{Code: api.DependencyTimeout, RetryAfter: time.Second, Cause: ctx.Err(),
				Message: "Another request with the same idempotency key is under way. Try again."})
			return
		}
	}
	keys := make([]string, len(all))
	for i, r := range all {
		keys[i] = r.name.IdempotencyKey
	}
	found, err := s.answers(ctx, all[0].name, keys, since)
	if err != nil {
		failAll(all, unkept(err))
		return
	}
	var old []*repeatable
	for _, r := range all {
		if r.kept, r.found = found[r.name.IdempotencyKey]; r.found {
			old = append(old, r)
		}
	}
	s.settleAnswers(ctx, old)
}

func (s *Service) keptSince() time.Time { return s.now().Add(-s.idempotency.Keep) }

func failAll(all []*repeatable, err *api.Error) {
	for _, r := range all {
		r.err = err
	}
}

// unkept tells the caller that answers cannot be kept, so that none is made.
func unkept(cause error) *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "The gateway cannot reach its database now, where the answer to a request with an idempotency key is kept. Try again; an operator has to look at the database."}
}

// unanswered says whether one of them is to be signed.
func (s *Service) unanswered(all []*repeatable) bool {
	return slices.ContainsFunc(all, (*repeatable).open)
}

func (r *repeatable) open() bool { return r.kept == nil && r.err == nil }

// made is for a signature that has just been made.
func (r *repeatable) made(s *Service, out *api.SignResponse) {
	r.call.identify(s)
	call, _ := json.Marshal(&r.call.record) // of texts and numbers: this cannot fail
	r.kept = &store.Answer{AnswerName: r.name, Request: r.request[:], Signature: out.Signature, Version: out.KeyVersion, Call: call,
		Instance: s.name, After: s.audit.Head().Seq, CreatedAt: s.now()}
}

// keepAnswers keeps what was made. Where another process was first, its answer is the one.
func (s *Service) keepAnswers(ctx context.Context, all []*repeatable) {
	var fresh []*repeatable
	var answers []*store.Answer
	for _, r := range all {
		if !r.found && r.err == nil && r.kept != nil {
			fresh, answers = append(fresh, r), append(answers, r.kept)
		}
	}
	if len(answers) == 0 {
		return
	}
	lost, err := s.once.keep(s.sealAnswers(answers))
	if err != nil {
		failAll(fresh, unkept(err))
		return
	}
	var others []*repeatable
	for _, r := range fresh {
		if lost[r.name] {
			others = append(others, r)
		}
	}
	if len(others) == 0 {
		return
	}
	keys := make([]string, len(others))
	for i, r := range others {
		keys[i] = r.name.IdempotencyKey
	}
	found, err := s.answers(ctx, others[0].name, keys, s.keptSince())
	if err != nil {
		failAll(others, unkept(err))
		return
	}
	for _, r := range others {
		if r.kept, r.found = found[r.name.IdempotencyKey]; !r.found {
			r.err = &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second,
				Message: "The idempotency key was used before by a process of the gateway that has not recorded its signature. Use another one; or an operator starts that process."}
		}
	}
	s.settleAnswers(ctx, others)
}

// settleAnswers refuses other requests under the same key, and finds the records of the rest.
func (s *Service) settleAnswers(ctx context.Context, found []*repeatable) {
	var here, elsewhere []*repeatable
	for _, r := range found {
		switch {
		case r.err != nil:
		case r.kept.Signature == nil:
			r.err = &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second,
				Message: "The answer that is kept under the idempotency key does not open: it was sealed under another seal key, or the database was changed. Use another idempotency key; an operator has to start the gateway with the seal key that belongs to its database."}
		case !bytes.Equal(r.kept.Request, r.request[:]):
			r.err = api.Errorf(api.IdempotencyKeyReused, "The idempotency key %q was used for another request to sign with %s. Use a new one for each signature.", r.name.IdempotencyKey, r.name.KeyARN)
		case r.kept.Record != "":
			r.record = r.kept.Record
		case r.kept.Instance == s.name:
			if r.record = s.once.noted(r.name); r.record == "" {
				here = append(here, r)
			}
		default:
			elsewhere = append(elsewhere, r)
		}
	}
	if len(here) > 0 {
		s.searchLog(ctx, here)
	}
	if len(elsewhere) > 0 {
		s.awaitRecords(ctx, elsewhere)
	}
}

// searchLog looks in this process's log for the records of answers that it kept and did
// not note as recorded: it ended in between. Those that are not there are recorded now.
func (s *Service) searchLog(ctx context.Context, all []*repeatable) {
	from := all[0].kept.After
	byKey := make(map[string]*repeatable)
	for _, r := range all {
		from = min(from, r.kept.After)
		byKey[r.name.IdempotencyKey] = r
	}
	missing := len(all)
	look := func(l audit.Line) bool {
		if ctx.Err() != nil {
			return false
		}
		if !bytes.Contains(l.Text, []byte(`"idempotencyKey":`)) { // nearly all
			return true
		}
		record, err := l.Record()
		r := byKey[record.IdempotencyKey]
		if err != nil || r == nil || record.Principal != r.name.Principal || record.KeyARN != r.name.KeyARN || record.SignatureHash != hashOfSignature(r.kept.Signature) {
			return true
		}
		r.record = audit.Receipt{Seq: l.Seq, Hash: audit.HashText(l.Hash)}.String()
		s.once.note(r.name, r.record)
		missing--
		return missing > 0
	}
	err := s.audit.Each(from+1, look)
	if errors.Is(err, audit.ErrRemoved) { // so the answer is old, and another process's that this one has taken over
		err = s.audit.Each(0, look)
	}
	switch cause := ctx.Err(); {
	case err != nil:
		failAll(all, notRecorded(err))
	case cause != nil && missing > 0: // whether they are recorded is not known
		failAll(all, &api.Error{Code: api.DependencyTimeout, RetryAfter: time.Second, Cause: cause,
			Message: "The time of the request was over before the record of its first one was found. Try again."})
	}
}

// awaitRecords waits until another process has noted that its answers are recorded.
func (s *Service) awaitRecords(ctx context.Context, all []*repeatable) {
	keys := make([]string, len(all))
	for i, r := range all {
		keys[i] = r.name.IdempotencyKey
	}
	ctx, cancel := context.WithTimeout(ctx, s.auditTimeout)
	defer cancel()
	for {
		found, err := s.store.Answers(ctx, all[0].name.Principal, all[0].name.KeyARN, keys, s.keptSince())
		left := 0
		for _, r := range all {
			if a := found[r.name.IdempotencyKey]; a != nil {
				r.record = a.Record
			}
			if r.record == "" {
				left++
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			for _, r := range all {
				if r.record == "" {
					r.err = &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: err, Message: "The signature was made by the gateway's process " + r.kept.Instance +
						", which has not recorded it yet. Try again; if it lasts, that process has to be started, or another one records it an hour after it was made."}
				}
			}
			return
		case <-time.After(noteDelay / 2):
		}
	}
}

// answer is what the caller is told.
func (r *repeatable) answer(in *api.SignRequest) (*api.SignResponse, *api.Error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.call.signed(in, r.kept.Signature, r.kept.Version), nil
}

// repeats says whether the call was answered with what another one has made and recorded.
func (c *Call) repeats() bool { return c.once != nil && c.once.record != "" }

// answered says whether the call was answered with what another one has made, recorded or not.
func (c *Call) answered() bool { return c.once != nil && c.once.found }

// recordedBefore says whether the record of another call vouches for the answer to this
// one, and names it to the caller.
func (s *Service) recordedBefore(c *Call, err *api.Error) bool {
	if err != nil || !c.repeats() {
		return false
	}
	c.Receipt, _ = audit.ParseReceipt(c.once.record) // as it was written
	return true
}

// noteRecord has the record of a call noted beside the answer that was kept.
func (s *Service) noteRecord(c *Call) {
	if c.once != nil {
		s.once.note(c.once.name, c.Receipt.String())
	}
}

// letRepeat lets those go on who repeat what the call asked for.
func (c *Call) letRepeat() {
	if c.once != nil && c.once.release != nil {
		c.once.release()
	}
	for i := range c.items {
		c.items[i].call.letRepeat()
	}
}
