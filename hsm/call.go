package hsm

import (
	"encoding/binary"

	"github.com/miekg/pkcs11"
)

// sign makes a signature into out. It returns the CK_RV, the length, and whether the operation had begun when it failed.
func (s *session) sign(key uint, m *mechanism, in, out []byte) (rv uint, n int, begun bool) {
	if s.list != nil {
		return fastSign(s.list, uint(s.h), key, m, in, out)
	}
	if err := s.ctx.SignInit(s.h, []*pkcs11.Mechanism{m.miekg()}, pkcs11.ObjectHandle(key)); err != nil {
		return rvOf(err), 0, false
	}
	b, err := s.ctx.Sign(s.h, in)
	return rvOf(err), copy(out, b), true
}

// decrypt is sign for a decryption.
func (s *session) decrypt(key uint, m *mechanism, in, out []byte) (rv uint, n int, begun bool) {
	if s.list != nil {
		return fastDecrypt(s.list, uint(s.h), key, m, in, out)
	}
	if err := s.ctx.DecryptInit(s.h, []*pkcs11.Mechanism{m.miekg()}, pkcs11.ObjectHandle(key)); err != nil {
		return rvOf(err), 0, false
	}
	b, err := s.ctx.Decrypt(s.h, in)
	n = copy(out, b)
	clear(b)
	return rvOf(err), n, true
}

// miekg is the mechanism for miekg/pkcs11.
func (m *mechanism) miekg() *pkcs11.Mechanism {
	switch m.param {
	case paramPSS:
		return pkcs11.NewMechanism(m.typ, pkcs11.NewPSSParams(m.hash, m.mgf, m.salt))
	case paramOAEP:
		return pkcs11.NewMechanism(m.typ, pkcs11.NewOAEPParams(m.hash, m.mgf, pkcs11.CKZ_DATA_SPECIFIED, nil))
	case paramEdDSAHash: // CK_EDDSA_PARAMS: phFlag, and no context
		return pkcs11.NewMechanism(m.typ, append(binary.NativeEndian.AppendUint64(nil, 1), make([]byte, 16)...))
	}
	return pkcs11.NewMechanism(m.typ, nil)
}
