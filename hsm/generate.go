package hsm

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// Generate makes a protected key pair in the token under this CKA_ID and label, and returns its public key (DER of SubjectPublicKeyInfo).
// What protects the private key is read back from the token attribute by attribute; a key that fails, or whose creation fails half-way,
// or whose caller has gone, is destroyed; so id has to be one that nobody else uses (NewID). Making and destroying goes one at a time, since it slows signing down.
//
// Errors: ErrInvalid (spec and use that do not go together, a CKA_ID in use), ErrUnsupported, ErrUnprotected (the token made a key that is
// not as asked for), ErrTokenFull, ErrBusy, ErrTimeout, ErrUnavailable, ErrFailed.
func (t *Token) Generate(ctx context.Context, spec KeySpec, use Use, id []byte, label string) ([]byte, error) {
	if err := t.Supports(spec, use); err != nil {
		return nil, withOp("generate", err)
	}
	if secretKinds[spec] != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "generate", Detail: string(spec) + " is no key pair", Advice: "GenerateSecret makes it"}
	}
	var spki []byte // written by the worker; not touched here unless the call came to its end
	err := t.create(ctx, callMakePair, id, label, func(g *generation, s *session) (err error) {
		spki, err = t.makeKey(g, s, &template{spec: spec, use: use, id: id, label: label, token: true, omit: t.omitted()})
		return err
	})
	if err != nil {
		return nil, err
	}
	return spki, nil
}

// create has a key made by the session for that; what was made for a caller that has gone meanwhile is destroyed.
func (t *Token) create(ctx context.Context, what string, id []byte, label string, made func(*generation, *session) error) error {
	if len(id) == 0 || len(id) > 255 || len(label) > 255 {
		return &Error{Kind: ErrInvalid, Op: "generate", Detail: "the CKA_ID takes 1 to 255 bytes and the label at most 255"}
	}
	g, err := t.current("generate")
	if err != nil {
		return err
	}
	undo := func(s *session) { _ = t.discard(g, s, id) } // which logs what it cannot do
	l := limits{generateTimes * t.cfg.WaitTimeout, generateTimes * t.cfg.CallTimeout}
	if err := g.callUndo(ctx, g.make, what, l, func(s *session) error { return made(g, s) }, undo); err != nil {
		return t.explain(ctx, g, "generate", err)
	}
	return nil
}

// omitted are the attributes left out of the templates.
func (t *Token) omitted() map[uint]bool {
	omit := map[uint]bool{}
	for _, name := range t.cfg.OmitAttributes {
		omit[attributeNames[name]] = true
	}
	return omit
}

// makeKey makes the pair and returns its public key.
func (t *Token) makeKey(g *generation, s *session, m *template) (spki []byte, err error) {
	err = t.makeProtected(g, s, m, func(e *entry) error {
		pub, err := s.publicKey(e)
		if err != nil {
			return err
		}
		if specOf(pub) != m.spec {
			return &Error{Kind: ErrFailed, Op: "generate", Detail: fmt.Sprintf("the token made a key of type %q", specOf(pub))}
		}
		if spki, err = marshalPublic(pub); err != nil {
			return &Error{Kind: ErrFailed, Op: "generate", Detail: "public key: " + err.Error()}
		}
		return nil
	})
	return spki, err
}

// makeProtected makes the pair or the secret key, reads it back, has it looked at, and puts it into the index.
func (t *Token) makeProtected(g *generation, s *session, m *template, look func(*entry) error) (err error) {
	if e, _ := g.index.get(m.id); e != nil {
		return &Error{Kind: ErrInvalid, Op: "generate", Detail: "the CKA_ID " + hex.EncodeToString(m.id) + " is in use"}
	}
	if err := s.healthy(); err != nil { // a session that is dead is found out before there is anything to undo: the worker takes another
		return err
	}
	ours := true
	defer func() {
		if err != nil && ours {
			err = t.afterFailure(g, s, m.id, err)
		}
	}()
	if err := t.makePair(g.owner, s, m); err != nil {
		return err
	}
	e, err := s.lookUp(m.id) // crypto11 does not tell the handles
	if err != nil {
		return err
	}
	if len(e.keys()) > 1 {
		ours = false // another process made a key with the same CKA_ID: which is which cannot be told, so neither is destroyed
		return e.usable(m.id, nil)
	}
	if !m.madeIn(e) {
		return &Error{Kind: ErrFailed, Op: "generate", Detail: "the token does not show the one private and the one public key, or the one secret key, that it was to make"}
	}
	if err := t.readBack(s, e.keys()[0], m); err != nil {
		return err
	}
	if err := look(e); err != nil {
		return err
	}
	g.index.put(m.id, e)
	return nil
}

// madeIn reports whether e holds just what the template asks for.
func (t *template) madeIn(e *entry) bool {
	if e == nil || secretKinds[t.spec] != nil {
		return e != nil && len(e.secret) == 1 && len(e.private)+len(e.public) == 0
	}
	return len(e.private) == 1 && len(e.public) == 1 && len(e.secret) == 0
}

// makePair has the pair or the secret key made, without CKA_ALLOWED_MECHANISMS where the token does not know it, and by each of its variants. NSS takes
// CKA_ALLOWED_MECHANISMS for a session key, and fails with CKR_GENERAL_ERROR for one that it has to store; but that error may also have
// passed by the next key, so it is not remembered.
func (t *Token) makePair(o *owner, s *session, m *template) error {
	var err error
	for _, variant := range m.variants() {
		unknown := t.noAllowed.Load()
		for _, allowed := range []bool{true, false} {
			if allowed && unknown {
				continue
			}
			try := variant
			if !allowed {
				try.omit = withAttribute(m.omit, pkcs11.CKA_ALLOWED_MECHANISMS)
			}
			err = o.generate(s, &try)
			c := classify(rvOf(err))
			switch {
			case allowed:
				unknown = c == classUnsupported
			case err == nil && unknown:
				t.noAllowed.Store(true)
			case err == nil:
				t.log.Warn("the token refused a key with CKA_ALLOWED_MECHANISMS and made it without; if it always does, name that under omit_attributes",
					zap.String("cka_id", hex.EncodeToString(m.id)))
			}
			if c != classUnsupported && (c != classOther || !allowed) {
				return err
			}
			if left := s.clear(m.id); left != nil {
				return err
			}
		}
	}
	return err
}

// variants are the ways to say the same, since modules differ: the name of Ed25519, the key type of a secret for HMAC.
func (t *template) variants() []template {
	with := func(edParam []byte, keyType uint) template {
		v := *t
		v.edParam, v.keyType = edParam, keyType
		return v
	}
	var all []template
	switch kind := secretKinds[t.spec]; {
	case t.spec == Edwards25519:
		for _, name := range edParams {
			all = append(all, with(name, 0))
		}
	case kind != nil && t.keyType == 0:
		for _, typ := range kind.types {
			all = append(all, with(nil, typ))
		}
	default:
		all = append(all, *t)
	}
	return all
}

// clear destroys whatever a failed attempt left under a CKA_ID that was free before.
func (s *session) clear(id []byte) error {
	e, err := s.lookUp(id)
	if err == nil && e != nil {
		err = s.destroy(e)
	}
	return err
}

func withAttribute(omit map[uint]bool, typ uint) map[uint]bool {
	more := map[uint]bool{typ: true}
	for k := range omit {
		more[k] = true
	}
	return more
}

// generate makes the pair by crypto11 where crypto11 can, which knows RSA and the NIST curves; by miekg/pkcs11 otherwise.
func (o *owner) generate(s *session, m *template) error {
	if o.c11 != nil && m.token {
		if bits := rsaBits[m.spec]; bits != 0 {
			_, err := o.c11.GenerateRSAKeyPairWithAttributes(attributeSet(m.public()), attributeSet(m.private()), int(bits))
			return err
		}
		if curve := curves[m.spec]; curve != nil {
			_, err := o.c11.GenerateECDSAKeyPairWithAttributes(attributeSet(m.public()), attributeSet(m.private()), curve)
			return err
		}
	}
	if secretKinds[m.spec] != nil {
		_, err := s.ctx.GenerateKey(s.h, []*pkcs11.Mechanism{pkcs11.NewMechanism(m.generator(), nil)}, m.secret())
		return err
	}
	_, _, err := s.generate(m)
	return err
}

func (s *session) generate(m *template) (public, private pkcs11.ObjectHandle, err error) {
	return s.ctx.GenerateKeyPair(s.h, []*pkcs11.Mechanism{pkcs11.NewMechanism(m.generator(), nil)}, m.public(), m.private())
}

// afterFailure leaves nothing half-made behind, and says so where it cannot.
func (t *Token) afterFailure(g *generation, s *session, id []byte, err error) error {
	if gone := t.discard(g, s, id); gone != nil {
		e := *asError(callError("generate", err))
		left := fmt.Sprintf("what was half-made under CKA_ID %s could not be destroyed: %v", hex.EncodeToString(id), gone)
		if e.Detail != "" {
			left = e.Detail + "; " + left
		}
		e.Detail = left
		e.Advice = "destroy it when the token answers again"
		return &e
	}
	return callError("generate", err)
}

// discard destroys whatever is under a CKA_ID that was free before.
func (t *Token) discard(g *generation, s *session, id []byte) error {
	err := s.clear(id)
	g.index.miss(id, true)
	if err != nil {
		t.log.Error("a key that nobody is to use could not be destroyed", zap.String("cka_id", hex.EncodeToString(id)), zap.Error(err))
	}
	return err
}

// destroy destroys the private or secret key first: a public key left alone harms nobody, and the next attempt finds it.
func (s *session) destroy(e *entry) error {
	for _, h := range append(e.keys(), e.public...) {
		if err := s.ctx.DestroyObject(s.h, h); err != nil && classify(rvOf(err)) != classKeyGone {
			return err
		}
	}
	return nil
}

// Destroy destroys the key pair, or the secret key, with this CKA_ID. It is nil when there is none and the token is healthy, so that it can
// be repeated. It refuses (ErrInvalid) where two keys have the CKA_ID: which one is meant is not for us to guess.
func (t *Token) Destroy(ctx context.Context, id []byte) error {
	g, err := t.current("destroy")
	if err != nil {
		return err
	}
	if len(id) == 0 {
		return &Error{Kind: ErrInvalid, Op: "destroy", Detail: "the CKA_ID is empty"}
	}
	l := limits{generateTimes * t.cfg.WaitTimeout, generateTimes * t.cfg.CallTimeout}
	err = g.call(ctx, g.make, callDestroy, l, func(s *session) error {
		e, err := s.lookUp(id)
		if err != nil {
			return err
		}
		if e == nil {
			g.index.miss(id, true)
			return nil
		}
		if !e.single() {
			return e.usable(id, nil)
		}
		if err := s.destroy(e); err != nil {
			return err
		}
		g.index.miss(id, true)
		return nil
	})
	if err != nil {
		return t.explain(ctx, g, "destroy", err)
	}
	return nil
}
