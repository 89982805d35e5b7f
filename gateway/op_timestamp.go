package gateway

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
	"github.com/hsmgate/hsmgate/hsm"
)

// Timestamp is the operation of the timestamp authority. It has a route and a form of its own; see [Service.Stamp].
var Timestamp = op("Timestamp", "POST", "/v1/tsa", usable, (*Service).Timestamp).orAlias().beyond("hsmgate:Timestamp").using()

// Timestamps make the gateway a timestamp authority (RFC 3161).
type Timestamps struct {
	timestamp.Authority
	Key string // id, ARN or alias of the key whose certificate is the authority's first
	// Public: who sends no credential is served, too, as [policy.Anonymous], whom the key's policy has to allow it.
	Public bool
	// Limit bounds the calls of all of those together.
	Limit Limit

	strangers *buckets
	mu        sync.Mutex
	last      time.Time // that a token has
}

// ServeTimestamps makes the service an authority.
func (s *Service) ServeTimestamps(t *Timestamps) {
	t.strangers = newBuckets(t.Limit, "for all who send no credential")
	s.stamps.Store(t)
	s.warnOfStamps(t)
}

// warnOfStamps says in the log what an operator has to know of the authority. It refuses nothing, since keys are made after a start.
func (s *Service) warnOfStamps(t *Timestamps) {
	warnings := t.WarnOfKey(s.store, s.names, s.now())
	if p := s.stampsPart(t); p.Status != StatusReady {
		warnings = []Warning{{p.State + ": " + p.Detail, p.Do}}
	} else if problem, do := t.ShutsOut(s.store, s.names); problem != "" {
		warnings = append(warnings, Warning{problem, do})
	}
	for _, w := range warnings {
		s.log.Warn(w.Problem, zap.String("do", w.Do))
	}
}

// Stamps says whether the service is an authority, and whether for those who send no credential, too.
func (s *Service) Stamps() (authority, public bool) {
	t := s.stamps.Load()
	return t != nil, t != nil && t.Public
}

// Anonymous is who calls without a credential, or why he may not now. He is allowed nothing but by the policy of a key,
// which means him by "Principal": "*".
func (s *Service) Anonymous() (policy.Principal, *api.Error) {
	if err := s.stamps.Load().strangers.take("", s.now()); err != nil {
		return policy.Principal{}, err
	}
	return policy.Anonymous(s.names.Account), nil
}

// Stamp answers a request for a timestamp, in DER, as RFC 3161 has it: a refusal of what is asked is an answer, too. An
// error is that the call is not allowed, or cannot be served now.
func (s *Service) Stamp(ctx context.Context, c *Call, query []byte) ([]byte, *api.Error) {
	c.Region = "" // where the key is
	out, err := s.Do(ctx, c, Timestamp, func(in any) *api.Error {
		*in.(*api.TimestampRequest) = api.TimestampRequest{KeyTarget: api.KeyTarget{KeyId: s.stamps.Load().Key}, Query: query}
		return nil
	})
	if err == nil {
		return out.(*api.TimestampResponse).Reply, nil
	}
	var refusal *timestamp.Refusal
	if !errors.As(err.Cause, &refusal) {
		return nil, err
	}
	reply, cause := refusal.Reply()
	if cause != nil {
		return nil, internal(c.RequestID, cause)
	}
	return reply, nil
}

// Timestamp makes a token over a digest, with the time of the system's clock.
func (s *Service) Timestamp(ctx context.Context, c *Call, in *api.TimestampRequest) (*api.TimestampResponse, *api.Error) {
	if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
		return nil, err
	}
	stamps := s.stamps.Load()
	request, cause := stamps.Accept(in.Query)
	if cause != nil {
		return nil, &api.Error{Code: api.Validation, Message: "The request for a timestamp is refused: " + cause.Error() + ".", Cause: cause}
	}
	c.record.Digest = named(request.Hash(), request.Digest())
	if s.store.ApprovalRule(c.key.ID) != nil {
		return nil, api.Errorf(api.KMSInvalidState, "%s has an approval rule, and no approval stands for a timestamp. Use another key for timestamps.", c.record.KeyARN)
	}
	signer, err := s.stampSigner(ctx, c, stamps.Certificates[0])
	if err != nil {
		return nil, err
	}
	at, err := stamps.time(s.now)
	if err != nil {
		return nil, err
	}
	if err := s.takeUse(ctx, c); err != nil {
		return nil, err
	}
	token, cause := stamps.Token(signer, signer.mechanism.Hash, request, at)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	reply, cause := timestamp.Reply(token)
	if cause != nil {
		return nil, internal(c.RequestID, cause)
	}
	c.record.SignatureHash = hashOfSignature(signer.signature)
	return &api.TimestampResponse{Reply: reply}, nil
}

// time is that of a token, and never before that of the last one, which would mean that the clock was wrong then or is wrong
// now. It is read under the lock, so that no call waits with a time that others have left behind.
func (t *Timestamps) time(clock func() time.Time) (time.Time, *api.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := clock().Round(0).Truncate(timestamp.Precision) // by the wall clock
	if now.Before(t.last) {
		return now, &api.Error{Code: api.ServiceUnavailable, Message: "The clock of the gateway went back, so that it states no time now. An operator has to look at it.",
			Cause: &timestamp.Refusal{Failure: timestamp.TimeNotAvailable, Text: "the clock went back"}}
	}
	if err := t.Valid(now); err != nil {
		return now, &api.Error{Code: api.ServiceUnavailable, Message: "The timestamp authority gives no tokens now: " + err.Error() + ". An operator has to look at it.", Cause: err}
	}
	t.last = now
	return now, nil
}

// stampsPart is about the authority's certificates, clock and key.
func (s *Service) stampsPart(t *Timestamps) Part {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	now, own := s.now(), t.Certificates[0]
	p := Part{Name: "timestamp authority", Status: StatusReady, State: "the timestamp authority may give tokens",
		Detail: "its certificate is valid until " + own.NotAfter.UTC().Format(time.RFC3339)}
	switch err := t.Valid(now); {
	case err != nil:
		p.Status, p.State, p.Detail = StatusDegraded, "the timestamp authority gives no tokens: a certificate of it is not valid now", err.Error()
		p.Do = "look at the clock; if that is right, have a certificate issued for the key and set timestamp.certificate_file"
	case now.Round(0).Truncate(timestamp.Precision).Before(last):
		p.Status, p.State = StatusDegraded, "the timestamp authority gives no tokens: the clock went back"
		p.Do = "look at the clock: tokens are given again once it has caught up, or after a start"
	default:
		if problem, do := t.CheckKey(s.store, s.names, now); problem != "" {
			p.Status, p.State = StatusDegraded, "the timestamp authority gives no tokens: its key cannot sign them, or is not that of its certificate"
			p.Detail, p.Do = problem, do
		}
	}
	return p
}

// stampSigner is the authority's key in the token, as a crypto.Signer of one signature, which it keeps.
type stampSigner struct {
	ctx       context.Context
	token     *hsm.Token
	key       *hsm.Key
	mechanism hsm.SignMechanism
	signature []byte
}

// stampSigner finds the key, whose current version has to be that of the certificate.
func (s *Service) stampSigner(ctx context.Context, c *Call, certificate *x509.Certificate) (*stampSigner, *api.Error) {
	algorithm, ok := stampAlgorithms[api.KeySpec(c.key.Spec)]
	if !ok {
		return nil, api.Errorf(api.UnsupportedOperation, "%s is of spec %s, and timestamps are signed by RSA, P-256, P-384 and P-521 keys.", c.record.KeyARN, c.key.Spec)
	}
	token, key, err := s.currentPair(c)
	if err != nil {
		return nil, err
	}
	c.record.Algorithm, c.record.MessageType = string(algorithm), string(api.Digest)
	if !samePublicKey(key.Public(), certificate.PublicKey) {
		return nil, api.Errorf(api.KMSInvalidState, "The certificate of the timestamp authority is not that of %s, version %d. An operator has to have one issued for it and to set timestamp.certificate_file.", c.record.KeyARN, c.record.KeyVersion)
	}
	return &stampSigner{ctx: ctx, token: token, key: key, mechanism: mechanisms[algorithm]}, nil
}

// stampAlgorithms are what tokens are signed with.
var stampAlgorithms = map[api.KeySpec]api.SigningAlgorithm{
	api.RSA2048: api.PKCS1SHA256, api.RSA3072: api.PKCS1SHA256, api.RSA4096: api.PKCS1SHA256,
	api.P256: api.ECDSASHA256, api.P384: api.ECDSASHA384, api.P521: api.ECDSASHA512,
}

// Public is the public key.
func (s *stampSigner) Public() crypto.PublicKey { return s.key.Public() }

// Sign signs a digest of the mechanism's hash.
func (s *stampSigner) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) (_ []byte, err error) {
	s.signature, err = s.token.Sign(s.ctx, s.key, s.mechanism, digest)
	return s.signature, err
}
