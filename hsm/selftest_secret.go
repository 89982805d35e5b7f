package hsm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// secrets tries secret keys, ECDH and random numbers.
func (r *trial) secrets(s *session) error {
	for _, spec := range SecretSpecs() {
		if err := r.secret(s, spec); err != nil {
			return err
		}
	}
	r.deriving(s)
	for _, spec := range []KeySpec{NISTP256, NISTP384, NISTP521} {
		if err := r.agreement(s, spec); err != nil {
			return err
		}
	}
	_, err := s.random(randomMost)
	switch c := classify(rvOf(err)); {
	case err == nil:
		r.set(randomName, Yes, "", "")
	case c == classLost || c == classSession:
		return err
	default:
		r.set(randomName, No, "the token answers "+rvName(rvOf(err)), "use a token with a random number generator")
	}
	return nil
}

// secret tries one spec by each key type that it may have, until one works. What the first did wrong is told rather than that another
// was not made.
func (r *trial) secret(s *session, spec KeySpec) error {
	kind, why := secretKinds[spec], ""
	for _, typ := range kind.types {
		m := &template{spec: spec, use: kind.use, id: NewID(), label: "hsmgate self-test", omit: r.t.omitted(), keyType: typ}
		e, ok, err := r.make(s, m)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		more, err := r.works(s, e.secret[0], m)
		_ = s.destroy(e)
		if err != nil {
			return err
		}
		if why = more; why == "" {
			r.types[spec] = typ
			break
		}
	}
	if why != "" {
		advice := adviceSpec
		if kind.use == UseCipher && r.advice != "" {
			advice = r.advice
		}
		r.set(string(spec), No, why, advice)
	}
	if kind.hash != 0 {
		a := r.get(string(spec))
		r.set(macName(kind.hash), a.State, a.Detail, a.Advice)
	}
	return nil
}

// works uses the new key, and then one of a known value, for which Go says what is right. why it does not; err where the token is gone.
func (r *trial) works(s *session, h pkcs11.ObjectHandle, m *template) (why string, err error) {
	value := make([]byte, secretKinds[m.spec].size)
	rand.Read(value)
	try := r.macs
	if m.use == UseCipher {
		try = r.seals
	}
	if why, err := try(s, uint(h), m.spec, nil); why != "" || err != nil {
		return why, err
	}
	given := *m
	given.omit = withAttribute(withAttribute(m.omit, pkcs11.CKA_VALUE_LEN), pkcs11.CKA_ALLOWED_MECHANISMS)
	known, err := s.ctx.CreateObject(s.h, append(given.secret(), pkcs11.NewAttribute(pkcs11.CKA_VALUE, value)))
	if err != nil {
		return "", nil // many HSMs take no key from outside, which is no fault
	}
	defer func() { _ = s.ctx.DestroyObject(s.h, known) }()
	return try(s, uint(known), m.spec, value)
}

// macs computes a MAC; with the value of the key, it compares it with Go's.
func (r *trial) macs(s *session, key uint, spec KeySpec, value []byte) (why string, err error) {
	kind := secretKinds[spec]
	mac, rv := s.mac(key, kind, []byte(checkText))
	switch c := classify(rv); {
	case c == classLost || c == classSession:
		return "", pkcs11.Error(rv)
	case rv != pkcs11.CKR_OK:
		return "the token answers " + rvName(rv) + " to a MAC", nil
	case value != nil:
		want := hmac.New(kind.hash.New, value)
		want.Write([]byte(checkText))
		if !hmac.Equal(mac, want.Sum(nil)) {
			return "the token computes a wrong MAC", nil
		}
	}
	return "", nil
}

// seals encrypts and decrypts, and sees that what was tampered with is refused; with the value of the key, Go has to decrypt it too.
func (r *trial) seals(s *session, key uint, _ KeySpec, value []byte) (why string, err error) {
	text, aad := bytes.Repeat([]byte{0xA5}, 100), []byte(checkText)
	iv, ct, err := r.seal(s, key, text, aad)
	if err != nil {
		return r.notSealed(err)
	}
	again, _, err := r.seal(s, key, text, aad)
	if err != nil {
		return r.notSealed(err)
	}
	if bytes.Equal(iv, again) {
		return "AES-GCM: the token does not make a new IV each time", nil
	}
	if got, _, _ := s.openIn(key, iv, ct, aad); !bytes.Equal(got, text) {
		return "AES-GCM: the token does not decrypt what it encrypted", nil
	}
	if value != nil && !opensInGo(value, iv, ct, aad, text) {
		return "AES-GCM: the token computes otherwise than the standard", nil
	}
	if _, rv, _ := s.openIn(key, iv, ct, []byte("other")); rv == pkcs11.CKR_OK {
		return "AES-GCM: the token does not check the additional data", nil
	}
	ct[0] ^= 1
	if _, rv, _ := s.openIn(key, iv, ct, aad); rv == pkcs11.CKR_OK {
		return "AES-GCM: the token does not check the tag", nil
	}
	return "", nil
}

// notSealed says why the token did not encrypt; err where it is gone.
func (r *trial) notSealed(cause error) (why string, err error) {
	e := asError(callError("self-test", cause))
	r.noGCM = e.RV == pkcs11.CKR_MECHANISM_INVALID
	switch c := classify(e.RV); {
	case c == classLost || c == classSession:
		return "", pkcs11.Error(e.RV)
	case c != classOK:
		if e.RV == pkcs11.CKR_MECHANISM_PARAM_INVALID && r.t.cfg.GCMIV == ivRandom {
			r.advice = "set gcm_iv: token, where the HSM makes the IV itself"
		}
		return "the token answers " + rvName(e.RV) + " to AES-GCM", nil
	}
	r.advice = e.Advice
	return "AES-GCM: " + e.Detail, nil
}

// seal encrypts. Where the token is to make the IV, it finds out how it wants to be asked.
func (r *trial) seal(s *session, key uint, text, aad []byte) (iv, ct []byte, err error) {
	iv, ct, err = r.t.sealIn(s, key, text, aad)
	if err == nil || r.t.cfg.GCMIV != ivToken || r.t.gcmNoIV.Load() {
		return iv, ct, err
	}
	r.t.gcmNoIV.Store(true)
	if iv, ct, other := r.t.sealIn(s, key, text, aad); other == nil {
		return iv, ct, nil
	}
	r.t.gcmNoIV.Store(false)
	return nil, nil, err
}

func opensInGo(value, iv, ct, aad, want []byte) bool {
	block, err := aes.NewCipher(value)
	if err != nil {
		return false
	}
	aead, err := cipher.NewGCMWithNonceSize(block, len(iv))
	if err != nil {
		return false
	}
	got, err := aead.Open(nil, iv, ct, aad)
	return err == nil && bytes.Equal(got, want)
}

// agreement tries ECDH on one curve; Go knows the secret.
func (r *trial) agreement(s *session, spec KeySpec) error {
	name := agreeName(spec)
	if a := r.get(string(spec)); a.State != Yes {
		return nil // result says the same of it as of its curve
	}
	m := &template{spec: spec, use: UseAgree, id: NewID(), label: "hsmgate self-test", omit: r.t.omitted()}
	refuse := func(detail string) {
		r.set(name, No, detail, "use another curve, a newer firmware or library, or another token")
	}
	err := r.t.makePair(r.owner, s, m)
	var e *entry
	if err == nil {
		e, err = s.lookUp(m.id)
	}
	if c := classify(rvOf(err)); c == classLost || c == classSession {
		return err
	}
	if err != nil || !m.madeIn(e) {
		refuse("the token answers " + rvName(rvOf(err)) + " to making a key for it")
		return nil
	}
	defer func() { _ = s.destroy(e) }()
	pub, err := s.publicKey(e)
	own, ok := pub.(*ecdsa.PublicKey)
	if err != nil || !ok {
		refuse("the token does not show the public key")
		return nil
	}
	point, err := own.ECDH()
	if err != nil {
		refuse("the token's public key is no point of its curve")
		return nil
	}
	same, err := r.t.proveAgree(s, uint(e.private[0]), point)
	switch c := classify(rvOf(err)); {
	case c == classLost || c == classSession:
		return err
	case err != nil:
		refuse(fmt.Sprintf("the token answers %s to CKM_ECDH1_DERIVE", rvName(rvOf(err))))
	case !same:
		refuse("the token computes a wrong secret")
	default:
		r.set(name, Yes, "", "")
	}
	return nil
}
