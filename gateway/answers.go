package gateway

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A signature stands in the database before its record is in the log. So it is sealed
// there, and none is forgotten before it is recorded.

// answerOf is what a sealed signature is bound to.
func answerOf(a *store.Answer) []string {
	return []string{a.Principal, a.KeyARN, a.IdempotencyKey, hex.EncodeToString(a.Request), strconv.Itoa(a.Version)}
}

// callOf is what the sealed record of its call is bound to.
func callOf(a *store.Answer) []string { return append(answerOf(a), "call") }

// sealAnswers gives the answers as the database has them.
func (s *Service) sealAnswers(answers []*store.Answer) []*store.Answer {
	sealed := make([]*store.Answer, len(answers))
	for i, a := range answers {
		kept := *a
		kept.Signature = s.identities.SealAnswer(a.Signature, answerOf(a)...)
		kept.Call = s.identities.SealAnswer(a.Call, callOf(a)...)
		sealed[i] = &kept
	}
	return sealed
}

// answers finds and opens those of one principal and key. One that does not open has no signature.
func (s *Service) answers(ctx context.Context, of store.AnswerName, keys []string, since time.Time) (map[string]*store.Answer, error) {
	found, err := s.store.Answers(ctx, of.Principal, of.KeyARN, keys, since)
	for _, a := range found {
		var bad error
		if a.Signature, bad = s.identities.OpenAnswer(a.Signature, answerOf(a)...); bad != nil {
			s.log.Error("an answer to a request with an idempotency key does not open", zap.String("principal", a.Principal), zap.String("keyArn", a.KeyARN), zap.Error(bad))
		}
		if len(a.Call) > 0 {
			a.Call, _ = s.identities.OpenAnswer(a.Call, callOf(a)...) // of one that does not open it is not known
		}
	}
	return found, err
}

// mostLeft is how many answers are recorded at a time.
const mostLeft = 1000

// recordLeft records the answers of this process that have no record: it ended, or the
// log was away, between the two, and nobody has asked for them since; and old ones of others.
func (s *Service) recordLeft(ctx context.Context) {
	if err := s.once.flush(); err != nil { // those are recorded
		s.log.Error("records of answers are not noted", zap.Error(err))
		return
	}
	if err := s.store.TakeAnswers(ctx, s.name, s.audit.Head().Seq, s.now().Add(-store.ClaimFor)); err != nil {
		s.log.Error("answers of other processes are not taken up", zap.Error(err))
	}
	left, err := s.store.UnrecordedAnswers(ctx, s.name, mostLeft)
	if err != nil {
		s.log.Error("answers without a record are not found", zap.Error(err))
		return
	}
	type group struct{ principal, keyARN string }
	groups := make(map[group][]*repeatable)
	for _, a := range left {
		r := &repeatable{name: a.AnswerName, request: [32]byte(a.Request)}
		of := group{a.Principal, a.KeyARN}
		groups[of] = append(groups[of], r)
	}
	for _, all := range groups {
		s.recordGroup(ctx, all)
	}
}

// longSearch is how long the log is searched for records of answers that nobody waits for.
const longSearch = time.Minute

// recordGroup records the answers of one caller and key that are in no record. Requests
// under way go first.
func (s *Service) recordGroup(ctx context.Context, all []*repeatable) {
	ctx, cancel := context.WithTimeout(ctx, longSearch)
	defer cancel()
	defer func() {
		for _, r := range all {
			if r.release != nil {
				r.release()
			}
		}
	}()
	s.findAnswers(ctx, all, time.UnixMicro(0))
	var failed []error
	for _, r := range all {
		if r.err == nil && r.kept != nil && r.record == "" {
			r.err = s.finish(ctx, s.madeUp(r), time.Now(), nil)
		}
		if r.err != nil {
			failed = append(failed, r.err)
		}
	}
	if len(failed) > 0 {
		s.log.Error("answers stay without a record", zap.String("principal", all[0].name.Principal), zap.String("keyArn", all[0].name.KeyARN),
			zap.Int("answers", len(failed)), zap.Error(failed[0]))
	}
}

// madeUp is the call that an answer is recorded as: that which asked for it, but for its time, which is now. Of one that was
// kept by a version before this, only the hash of what was asked for is known.
func (s *Service) madeUp(r *repeatable) *Call {
	sign, _ := OpNamed("Sign")
	c := &Call{RequestID: uuid.NewString(), Face: internalFace, op: sign, once: r, Principal: policy.Principal{ARN: r.name.Principal}}
	if of := &c.record; json.Unmarshal(r.kept.Call, of) == nil {
		c.RequestID, c.Face, c.SourceAddress, c.UserAgent = of.RequestID, of.Face, of.SourceAddress, of.UserAgent
		c.Principal.CredentialID, c.Principal.IdentityProvider, c.Principal.IdentitySubject = of.CredentialID, of.Provider, of.Subject
	} else {
		c.record = audit.Record{Resource: r.name.KeyARN, IdempotencyKey: r.name.IdempotencyKey, KeyARN: r.name.KeyARN}
		_, c.record.KeyID, _ = strings.Cut(r.name.KeyARN, ":key/")
	}
	c.record.KeyVersion, c.record.SignatureHash = r.kept.Version, hashOfSignature(r.kept.Signature)
	return c
}

// forgetAnswers removes the answers that were kept long enough.
func (s *Service) forgetAnswers(ctx context.Context) {
	if err := s.store.ForgetAnswers(ctx, s.keptSince(), s.idempotency.PerPrincipal); err != nil {
		s.log.Error("answers that were kept long enough stay", zap.Error(err))
	}
}
