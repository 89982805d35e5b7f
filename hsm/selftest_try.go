package hsm

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/miekg/pkcs11"
)

// signMechanisms lists the mechanisms of a spec in the order of the documentation.
func signMechanisms(spec KeySpec) []SignMechanism {
	switch {
	case rsaBits[spec] != 0:
		var all []SignMechanism
		for _, scheme := range []Scheme{PKCS1v15, PSS} {
			for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				all = append(all, SignMechanism{scheme, h})
			}
		}
		return all
	case isMLDSA(spec):
		return []SignMechanism{{Scheme: MLDSA}}
	case isKEM(spec):
		return nil
	case spec == Edwards25519:
		return []SignMechanism{{Scheme: Ed25519}, {Ed25519ph, crypto.SHA512}}
	}
	return []SignMechanism{{ECDSA, curveHash[spec]}}
}

// signatures signs by every mechanism of the spec and checks in Go: a token may take a parameter and ignore it (SoftHSM with Ed25519ph).
func (r *trial) signatures(s *session, spec KeySpec, pub crypto.PublicKey, e *entry) error {
	defer func() { _ = s.destroy(e) }()
	for _, m := range signMechanisms(spec) {
		in := bytes.Repeat([]byte{0xA5}, inputSize(m))
		sig, rv := s.trySign(uint(e.private[0]), signers[signerKey{spec, m}], in)
		name := abilityName(spec, m)
		switch c := classify(rv); {
		case c == classLost || c == classSession:
			return pkcs11.Error(rv)
		case rv != pkcs11.CKR_OK:
			r.set(name, No, "the token answers "+rvName(rv), "use another algorithm, or a newer firmware or library")
		default:
			if m.Scheme == ECDSA {
				sig = derSignature(sig)
			}
			if sig == nil || !verify(pub, m, in, sig) {
				r.set(name, No, "the token's signature does not verify", "use another algorithm, or a newer firmware or library")
				continue
			}
			r.set(name, Yes, "", "")
		}
	}
	return nil
}

func inputSize(m SignMechanism) int {
	if m.Hash == 0 {
		return 64
	}
	return m.Hash.Size()
}

func (s *session) trySign(key uint, how *signer, in []byte) ([]byte, uint) {
	out := make([]byte, maxSignature)
	rv, n, _ := s.sign(key, &how.mech, append(append([]byte{}, how.prefix...), in...), out)
	if rv != pkcs11.CKR_OK || n > len(out) {
		return nil, rv
	}
	return out[:n], rv
}

// cipher tries OAEP by both hashes, the token's own and the one over CKM_RSA_X_509.
func (r *trial) cipher(s *session) error {
	pub, e, ok, err := r.pair(s, RSA2048, UseDecrypt)
	if err != nil || !ok {
		return err
	}
	defer func() { _ = s.destroy(e) }()
	key := &Key{ref: ref{spec: RSA2048}, pub: pub}
	for name, h := range map[string]crypto.Hash{oaepSHA1: crypto.SHA1, oaepSHA256: crypto.SHA256} {
		want := []byte("hsmgate self-test")
		ct, err := key.Encrypt(h, want)
		if err != nil {
			return err
		}
		n := hashMech[h]
		own, rv := s.tryDecrypt(uint(e.private[0]), &mechanism{typ: pkcs11.CKM_RSA_PKCS_OAEP, param: paramOAEP, hash: n.ckm, mgf: n.mgf}, ct)
		if rv == pkcs11.CKR_OK && bytes.Equal(own, want) {
			r.set(name, Yes, "", "")
			continue
		}
		em, rawRV := s.tryDecrypt(uint(e.private[0]), &mechanism{typ: pkcs11.CKM_RSA_X_509}, ct)
		full := make([]byte, pub.(*rsa.PublicKey).Size())
		if rawRV == pkcs11.CKR_OK && len(em) <= len(full) {
			copy(full[len(full)-len(em):], em)
			if pt, ok := unpadOAEP(h, full); ok && bytes.Equal(pt, want) {
				r.raw[h] = true
				r.set(name, Yes, fmt.Sprintf("by CKM_RSA_X_509, unpadded here; the token's own answers %s", rvName(rv)), "")
				continue
			}
		}
		r.set(name, No, fmt.Sprintf("the token answers %s, and to CKM_RSA_X_509 %s", rvName(rv), rvName(rawRV)), "use the other hash, or a newer firmware or library")
	}
	return nil
}

func (s *session) tryDecrypt(key uint, m *mechanism, ct []byte) ([]byte, uint) {
	out := make([]byte, maxOutput)
	rv, n, _ := s.decrypt(key, m, ct, out)
	if rv != pkcs11.CKR_OK || n > len(out) {
		return nil, rv
	}
	return out[:n], rv
}

// result orders what was found and fills in what could not be tried.
func (r *trial) result() *selfTest {
	out := &selfTest{byName: map[string]Ability{}, absent: r.absent, shown: r.shown, raw: r.raw, noAllowed: r.t.noAllowed.Load(),
		types: r.types, gcmNoIV: r.t.gcmNoIV.Load(), derives: r.derives, gcm: r.gcm, agreeForm: r.t.agreeForm.Load()}
	add := func(name string, spec KeySpec) {
		a, ok := r.found[name]
		if !ok { // its key could not be made
			a = r.found[string(spec)]
			a.Name = name
		}
		if a.State == Unknown && r.made[secretKinds[spec] != nil] {
			a.State = No // it makes other session keys, so it is this one that it refuses
		}
		if a.State == Unknown {
			a.Detail += "; it may refuse session keys only, so the first use will show"
		}
		out.list = append(out.list, a)
		out.byName[name] = a
	}
	for _, spec := range Specs() {
		add(string(spec), spec)
	}
	for _, spec := range []KeySpec{RSA2048, NISTP256, NISTP384, NISTP521, SECGP256K1, Edwards25519, MLDSA44, MLDSA65, MLDSA87} {
		for _, m := range signMechanisms(spec) {
			add(abilityName(spec, m), spec)
		}
	}
	add(oaepSHA1, RSA2048)
	add(oaepSHA256, RSA2048)
	for _, spec := range SecretSpecs() {
		add(string(spec), spec)
	}
	for _, spec := range SecretSpecs()[1:] {
		add(macName(secretKinds[spec].hash), spec)
	}
	for _, spec := range []KeySpec{NISTP256, NISTP384, NISTP521} {
		add(agreeName(spec), spec)
	}
	add(randomName, "")
	return out
}
