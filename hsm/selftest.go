package hsm

import (
	"context"
	"crypto"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// selfTest is what a token can do, found by trying: the list of mechanisms lies (tpm2-pkcs11 lists some that it refuses, SoftHSM lists OAEP
// and takes it with SHA-1 only).
type selfTest struct {
	list      []Ability
	byName    map[string]Ability
	absent    map[uint]bool // CKA_LOCAL and the like that this module does not keep
	shown     map[uint]bool // and those that some key of the test has shown
	raw       map[crypto.Hash]bool
	noAllowed bool
	types     map[KeySpec]uint // the CKA_KEY_TYPE of secret keys
	gcmNoIV   bool
	derives   bool // symmetric keys are kept as keys for HMAC
	gcm       Ability
	agreeForm int32
}

// selfTests holds the outcome for each library, model and firmware that this process met, so that a token which comes back is in service
// at once.
var selfTests sync.Map // string -> *keptTest

type keptTest struct {
	mu    sync.Mutex
	tests *selfTest
}

// selfTest tries every key spec and mechanism with throw-away session keys, which never touch the token's memory. Under a second on SoftHSM, most
// of it for the RSA key.
func (t *Token) selfTest(g *generation) error {
	var name string
	err := g.call(context.Background(), g.probe, callTest, t.limits(), func(s *session) error {
		i, err := s.info()
		name = fmt.Sprint(t.mod.path, "|", t.mod.initArgs, "|", i.Manufacturer, "|", i.Model, "|", i.Firmware, "|", i.LibraryVersion, "|", t.cfg.OmitAttributes, t.cfg.GCMIV, t.cfg.WithoutGCM)
		return err
	})
	if err != nil {
		return callError("self-test", err)
	}
	v, _ := selfTests.LoadOrStore(name, &keptTest{})
	kept := v.(*keptTest)
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.tests == nil {
		if kept.tests, err = t.runSelfTest(g); err != nil {
			return callError("self-test", err)
		}
	}
	tests := kept.tests
	t.tests.Store(tests)
	t.noAllowed.Store(tests.noAllowed)
	t.gcmNoIV.Store(tests.gcmNoIV)
	t.agreeForm.Store(tests.agreeForm)
	t.oaep.sha1.Store(tests.raw[crypto.SHA1])
	t.oaep.sha256.Store(tests.raw[crypto.SHA256])
	for _, a := range tests.list {
		switch fields := []zap.Field{zap.String("name", a.Name), zap.String("state", string(a.State)), zap.String("detail", a.Detail)}; {
		case a.State != Yes:
			t.log.Info("self-test: not offered on this token, the rest is", fields...)
		case a.Advice != "":
			t.log.Warn("self-test: offered on this token in a way to know of", append(fields, zap.String("advice", a.Advice))...)
		}
	}
	return nil
}

// selfTestLimit is for a module that hangs at start; on a busy machine an RSA key takes seconds.
const selfTestLimit = time.Minute

func (t *Token) runSelfTest(g *generation) (*selfTest, error) {
	r := &trial{t: t, owner: g.owner, found: map[string]Ability{}, absent: map[uint]bool{}, shown: map[uint]bool{}, raw: map[crypto.Hash]bool{}, types: map[KeySpec]uint{}, made: map[bool]bool{}}
	l := limits{selfTestLimit, selfTestLimit}
	ec := make(chan error, 1)
	go func() { // beside the RSA keys, which take longer than all of it
		err := g.call(context.Background(), g.sign, callTest, l, r.curves)
		if err == nil {
			err = g.call(context.Background(), g.sign, callTest, l, r.secrets)
		}
		ec <- err
	}()
	err := g.call(context.Background(), g.make, callTest, l, r.rsa)
	if e := <-ec; err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return r.result(), nil
}

// trial gathers what the self-test finds.
type trial struct {
	t      *Token
	owner  *owner
	mu     sync.Mutex
	found  map[string]Ability
	absent map[uint]bool
	shown  map[uint]bool
	raw    map[crypto.Hash]bool
	types  map[KeySpec]uint
	made   map[bool]bool // the token made some session key: a secret one, a pair

	gcm     Ability // of AES-GCM in the token, whatever is made of it
	noGCM   bool    // it refused the mechanism itself
	advice  string  // on AES-GCM that fails in another way
	derives bool
}

func (r *trial) set(name string, s State, detail, advice string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found[name] = Ability{name, s, detail, advice}
}

func (r *trial) get(name string) Ability {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found[name]
}

const adviceSpec = "use another key spec, a newer firmware or library, or another token"

// pair makes a session key pair; ok is false when the token would not. err only where the token is gone.
func (r *trial) pair(s *session, spec KeySpec, use Use) (pub crypto.PublicKey, e *entry, ok bool, err error) {
	m := &template{spec: spec, use: use, id: NewID(), label: "hsmgate self-test", omit: r.t.omitted()}
	if e, ok, err = r.make(s, m); err != nil || !ok {
		return nil, nil, false, err
	}
	if pub, err = s.publicKey(e); err != nil {
		return nil, nil, false, r.failed(s, m, err)
	}
	return pub, e, true, nil
}

// make makes what the template says and looks at how it is protected.
func (r *trial) make(s *session, m *template) (e *entry, ok bool, err error) {
	err = r.t.makePair(r.owner, s, m)
	if err == nil {
		e, err = s.lookUp(m.id)
	}
	if err == nil && len(e.keys()) != 1 {
		err = pkcs11.Error(pkcs11.CKR_FUNCTION_FAILED)
	}
	if err != nil {
		return nil, false, r.failed(s, m, err)
	}
	r.mu.Lock()
	r.made[secretKinds[m.spec] != nil] = true
	r.mu.Unlock()
	if why := e.unprotected; why != "" {
		r.set(string(m.spec), No, "the token makes keys that are not protected: "+why, adviceSpec)
		return nil, false, s.destroy(e)
	}
	r.origin(s, e.keys()[0], m)
	r.set(string(m.spec), Yes, "", "")
	return e, true, nil
}

// failed notes that the token did not make the key; err where it is gone.
func (r *trial) failed(s *session, m *template, err error) error {
	if c := classify(rvOf(err)); c == classLost || c == classSession {
		return err
	}
	r.set(string(m.spec), r.refused(s, m.generator()), "the token answers "+rvName(rvOf(err)), adviceSpec)
	return nil
}

// refused: a generator that the token does not list is a no; one that it lists may be a refusal of session keys only (result decides).
func (r *trial) refused(s *session, generator uint) State {
	if _, err := s.ctx.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(generator, nil)}); err != nil {
		return No
	}
	return Unknown
}

// origin notes which attributes about a key's origin the module does not keep.
func (r *trial) origin(s *session, h pkcs11.ObjectHandle, m *template) {
	for _, w := range protection(m) {
		if w.typ != pkcs11.CKA_ALWAYS_SENSITIVE && w.typ != pkcs11.CKA_NEVER_EXTRACTABLE && w.typ != pkcs11.CKA_LOCAL {
			continue
		}
		if ok, shown, err := s.shows(h, w); err == nil {
			r.mu.Lock()
			r.absent[w.typ] = r.absent[w.typ] || !ok
			r.shown[w.typ] = r.shown[w.typ] || ok && shown == ""
			r.mu.Unlock()
		}
	}
}

// curves tries the elliptic curves.
func (r *trial) curves(s *session) error {
	for _, spec := range []KeySpec{NISTP256, NISTP384, NISTP521, SECGP256K1, Edwards25519} {
		pub, e, ok, err := r.pair(s, spec, UseSign)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := r.signatures(s, spec, pub, e); err != nil {
			return err
		}
	}
	return r.lattices(s)
}

// rsa tries RSA with one key of 2048 bits for each use; larger ones by the sizes that the token states, since making them takes seconds.
func (r *trial) rsa(s *session) error {
	pub, e, ok, err := r.pair(s, RSA2048, UseSign)
	if err != nil {
		return err
	}
	if ok {
		if err := r.signatures(s, RSA2048, pub, e); err != nil {
			return err
		}
		if err := r.cipher(s); err != nil {
			return err
		}
	}
	two, known := r.found[string(RSA2048)], 0
	if info, err := s.ctx.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)}); err == nil {
		known = int(info.MaxKeySize)
		if known < 1024 {
			known *= 8 // some modules count bytes
		}
	}
	for _, spec := range []KeySpec{RSA3072, RSA4096} {
		switch {
		case two.State != Yes:
			r.set(string(spec), two.State, two.Detail, two.Advice)
		case known >= int(rsaBits[spec]):
			r.set(string(spec), Yes, fmt.Sprintf("by the token's own word: it makes RSA keys of up to %d bits", known), "")
		default:
			r.set(string(spec), No, fmt.Sprintf("the token makes RSA keys of at most %d bits", known), adviceSpec)
		}
	}
	return nil
}
