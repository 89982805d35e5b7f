package hsm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"
)

// class is what a return value asks of us.
type class int

const (
	classOK          class = iota
	classKeyGone           // the handle names nothing any more: find the key anew
	classSession           // this session is dead or in use: take another
	classLost              // the token, the device or the login is gone: recover
	classPIN               // the login was refused: never repeat it
	classFull              // no room
	classUnsupported       // the token cannot do this, or not with this key or template
	classOther             // anything else: the session may be broken, the token may be
)

// classes maps the return values of PKCS#11 v2.40, 5.1 that mean more than 'this call failed'.
var classes = map[uint]class{
	pkcs11.CKR_OK:                         classOK,
	pkcs11.CKR_KEY_HANDLE_INVALID:         classKeyGone,
	pkcs11.CKR_OBJECT_HANDLE_INVALID:      classKeyGone,
	pkcs11.CKR_SESSION_CLOSED:             classSession,
	pkcs11.CKR_SESSION_HANDLE_INVALID:     classSession,
	pkcs11.CKR_OPERATION_ACTIVE:           classSession,
	pkcs11.CKR_OPERATION_NOT_INITIALIZED:  classSession,
	pkcs11.CKR_DEVICE_ERROR:               classLost,
	pkcs11.CKR_DEVICE_REMOVED:             classLost,
	pkcs11.CKR_TOKEN_NOT_PRESENT:          classLost,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED:       classLost,
	pkcs11.CKR_SLOT_ID_INVALID:            classLost,
	pkcs11.CKR_USER_NOT_LOGGED_IN:         classLost,
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:   classLost,
	pkcs11.CKR_PIN_INCORRECT:              classPIN,
	pkcs11.CKR_PIN_INVALID:                classPIN,
	pkcs11.CKR_PIN_LEN_RANGE:              classPIN,
	pkcs11.CKR_PIN_EXPIRED:                classPIN,
	pkcs11.CKR_PIN_LOCKED:                 classPIN,
	pkcs11.CKR_DEVICE_MEMORY:              classFull,
	pkcs11.CKR_SESSION_COUNT:              classFull,
	pkcs11.CKR_MECHANISM_INVALID:          classUnsupported,
	pkcs11.CKR_MECHANISM_PARAM_INVALID:    classUnsupported,
	pkcs11.CKR_ARGUMENTS_BAD:              classUnsupported,
	pkcs11.CKR_FUNCTION_NOT_SUPPORTED:     classUnsupported,
	pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED: classUnsupported,
	pkcs11.CKR_KEY_TYPE_INCONSISTENT:      classUnsupported,
	pkcs11.CKR_KEY_SIZE_RANGE:             classUnsupported,
	pkcs11.CKR_ATTRIBUTE_TYPE_INVALID:     classUnsupported,
	pkcs11.CKR_ATTRIBUTE_VALUE_INVALID:    classUnsupported,
	pkcs11.CKR_ATTRIBUTE_READ_ONLY:        classUnsupported,
	pkcs11.CKR_TEMPLATE_INCOMPLETE:        classUnsupported,
	pkcs11.CKR_TEMPLATE_INCONSISTENT:      classUnsupported,
	pkcs11.CKR_DOMAIN_PARAMS_INVALID:      classUnsupported,
	pkcs11.CKR_CURVE_NOT_SUPPORTED:        classUnsupported,
	pkcs11.CKR_TOKEN_WRITE_PROTECTED:      classUnsupported,
}

func classify(rv uint) class {
	if c, ok := classes[rv]; ok {
		return c
	}
	return classOther
}

// rvOf returns the return value in err, 0 for nil, CKR_GENERAL_ERROR for an error that carries none.
func rvOf(err error) uint {
	if err == nil {
		return pkcs11.CKR_OK
	}
	var e pkcs11.Error
	if errors.As(err, &e) {
		return uint(e)
	}
	return pkcs11.CKR_GENERAL_ERROR
}

// rvName gives the standard's name, for example CKR_PIN_INCORRECT.
func rvName(rv uint) string {
	if _, name, ok := strings.Cut(pkcs11.Error(rv).Error(), ": CKR_"); ok && name != "" {
		return "CKR_" + name
	}
	if _, name, ok := strings.Cut(pkcs11.Error(rv).Error(), "CKR_"); ok && name != "" {
		return "CKR_" + name
	}
	return fmt.Sprintf("CKR 0x%X", rv)
}

// fail makes the error of a return value. Decryption has its own rules (cipher.go).
func fail(op string, rv uint, detail string) *Error {
	e := &Error{Kind: ErrFailed, Op: op, RV: rv, Detail: detail}
	switch classify(rv) {
	case classLost, classSession:
		e.Kind, e.Advice = ErrUnavailable, "try again shortly: the token is being opened again"
	case classKeyGone:
		e.Kind = ErrKeyMissing
	case classPIN:
		e.Kind, e.Advice = ErrPINRefused, "put the right PIN into the PIN file; it is not tried again before the file changes"
	case classFull:
		e.Kind, e.Advice = ErrTokenFull, "free room on the token, or sessions"
	case classUnsupported:
		e.Kind, e.Advice = ErrUnsupported, "see the abilities that the check prints"
	}
	return e
}
