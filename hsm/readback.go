package hsm

import (
	"fmt"

	"github.com/miekg/pkcs11"
)

// wanted is a protective attribute of a private or secret key and what it has to be.
type wanted struct {
	name string
	typ  uint
	want bool
	must bool // false: refused only where the token shows the wrong value; it may not have the attribute
}

// protection lists every attribute that protects a key of this template.
func protection(m *template) []wanted {
	list := []wanted{
		{"CKA_SENSITIVE", pkcs11.CKA_SENSITIVE, true, true},
		{"CKA_EXTRACTABLE", pkcs11.CKA_EXTRACTABLE, false, true},
		{"CKA_PRIVATE", pkcs11.CKA_PRIVATE, true, true},
		{"CKA_TOKEN", pkcs11.CKA_TOKEN, m.token, true},
	}
	usage := []wanted{
		{"CKA_SIGN", pkcs11.CKA_SIGN, m.use == UseSign, m.use == UseSign},
		{"CKA_DECRYPT", pkcs11.CKA_DECRYPT, m.use == UseDecrypt || m.raw, m.use == UseDecrypt || m.raw},
		{"CKA_SIGN_RECOVER", pkcs11.CKA_SIGN_RECOVER, false, false},
		{"CKA_UNWRAP", pkcs11.CKA_UNWRAP, m.use == useUnwrap, m.use == useUnwrap},
		{"CKA_DERIVE", pkcs11.CKA_DERIVE, m.use == UseAgree, m.use == UseAgree},
	}
	if isKEM(m.spec) {
		usage = append(usage, wanted{"CKA_DECAPSULATE", ckaDecapsulate, m.use == UseDecapsulate, true})
	}
	if secretKinds[m.spec] != nil {
		usage = secretUsage(m.use)
	}
	list = append(list, usage...)
	if m.foreign { // what says how a key came to be is not to be expected
		return list
	}
	return append(list, []wanted{
		{"CKA_ALWAYS_SENSITIVE", pkcs11.CKA_ALWAYS_SENSITIVE, true, false},
		{"CKA_NEVER_EXTRACTABLE", pkcs11.CKA_NEVER_EXTRACTABLE, true, false},
		{"CKA_LOCAL", pkcs11.CKA_LOCAL, true, false},
	}...)
}

// readBack reads every protective attribute of a new key, one a call. Some modules take a template and do otherwise.
func (t *Token) readBack(s *session, h pkcs11.ObjectHandle, m *template) error {
	for _, w := range protection(m) {
		ok, shown, err := s.shows(h, w)
		if err != nil {
			return err
		}
		if !ok && !t.neverShown(w.typ) {
			return &Error{Kind: ErrUnprotected, Op: "generate", Detail: fmt.Sprintf("the token made a key with %s = %s", w.name, shown),
				Advice: "the token does not keep to what it is asked for: look for a setting or a newer version of it"}
		}
	}
	return nil
}

// shows reads one attribute; err only when the token or the session is gone.
func (s *session) shows(h pkcs11.ObjectHandle, w wanted) (ok bool, shown string, err error) {
	b, err := s.attribute(h, w.typ)
	switch c := classify(rvOf(err)); {
	case c == classLost || c == classSession || c == classKeyGone:
		return false, "", err
	case c != classOK || len(b) != 1: // the module does not have the attribute, or does not show it
		return !w.must, "unreadable", nil
	case isTrue(b) == w.want && (w.want || isFalse(b)):
		return true, "", nil
	}
	return false, fmt.Sprint(isTrue(b)), nil
}

// neverShown: the self-test's own keys did not show it either, so this module does not keep the attribute (NSS: CKA_LOCAL). Only of those that
// say how a key came to be; what protects it now has no exception.
func (t *Token) neverShown(typ uint) bool {
	tests := t.tests.Load()
	return tests != nil && tests.absent[typ]
}

// KeepsNeverExtractable: the self-test's own keys showed CKA_NEVER_EXTRACTABLE, all of them, so that a key which does not was once
// extractable, or was imported. False where the self-test could make none.
func (t *Token) KeepsNeverExtractable() bool {
	tests := t.tests.Load()
	return tests != nil && tests.shown[pkcs11.CKA_NEVER_EXTRACTABLE] && !tests.absent[pkcs11.CKA_NEVER_EXTRACTABLE]
}
