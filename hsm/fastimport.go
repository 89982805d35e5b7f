package hsm

/*
#cgo noescape hg_create
#cgo nocallback hg_create
#cgo noescape hg_unwrap
#cgo nocallback hg_unwrap
#include "fast.h"
#include <string.h>

typedef struct { ck_ulong hash, mgf, source; void *data; ck_ulong len; } ck_oaep;
typedef struct { ck_ulong bits; ck_oaep *oaep; } ck_rsa_aes;
typedef ck_ulong (*ck_create)(ck_ulong, ck_attr *, ck_ulong, ck_ulong *);
typedef ck_ulong (*ck_unwrap)(ck_ulong, ck_mech *, ck_ulong, unsigned char *, ck_ulong, ck_attr *, ck_ulong, ck_ulong *);
enum { FN_CREATE_OBJECT = 20, FN_UNWRAP_KEY = 61, ATTRS = 40 };

// A template is flat: type and length of each attribute, two CK_ULONGs, and its value, filled up to whole CK_ULONGs. So it stays in one buffer of Go's,
// which Go clears: miekg/pkcs11 leaves copies of every attribute in memory that was freed.
static int hg_attrs(unsigned char *flat, ck_ulong size, ck_attr *a) {
	int n = 0;
	for (ck_ulong at = 0; at < size && n < ATTRS; n++) {
		memcpy(&a[n].type, flat + at, sizeof(ck_ulong));
		memcpy(&a[n].len, flat + at + sizeof(ck_ulong), sizeof(ck_ulong));
		a[n].value = flat + at + 2 * sizeof(ck_ulong);
		at += 2 * sizeof(ck_ulong) + (a[n].len + sizeof(ck_ulong) - 1) / sizeof(ck_ulong) * sizeof(ck_ulong);
	}
	return n;
}

static ck_ulong hg_create(void *list, ck_ulong session, unsigned char *flat, ck_ulong size, ck_ulong *object) {
	ck_attr a[ATTRS];
	int n = hg_attrs(flat, size, a);
	return ((ck_create)((ck_list *)list)->fn[FN_CREATE_OBJECT])(session, a, n, object);
}

// CKM_RSA_AES_KEY_WRAP, whose parameter points to another (PKCS#11 v2.40, 2.1.20).
static ck_ulong hg_unwrap(void *list, ck_ulong session, ck_ulong mech, ck_ulong hash, ck_ulong mgf, ck_ulong key, unsigned char *in, ck_ulong inlen,
		unsigned char *flat, ck_ulong size, ck_ulong *object) {
	ck_attr a[ATTRS];
	int n = hg_attrs(flat, size, a);
	ck_oaep oaep = { hash, mgf, 1, NULL, 0 };
	ck_rsa_aes p = { 256, &oaep };
	ck_mech m = { mech, &p, sizeof p };
	return ((ck_unwrap)((ck_list *)list)->fn[FN_UNWRAP_KEY])(session, &m, key, in, inlen, a, n, object);
}
*/
import "C"

import (
	"crypto"
	"encoding/binary"

	"github.com/miekg/pkcs11"
)

// flatten lays the attributes one after the other, as hg_attrs reads them. The caller clears it.
func flatten(list []*pkcs11.Attribute) []byte {
	const word = 8
	size := 0
	for _, a := range list {
		size += 2*word + (len(a.Value)+word-1)/word*word
	}
	flat := make([]byte, 0, size) // of its full size: growing would leave copies behind
	for _, a := range list {
		flat = binary.NativeEndian.AppendUint64(flat, uint64(a.Type))
		flat = binary.NativeEndian.AppendUint64(flat, uint64(len(a.Value)))
		flat = append(flat, a.Value...)
		for len(flat)%word != 0 {
			flat = append(flat, 0)
		}
	}
	return flat
}

// create makes an object of these attributes, without leaving copies of them where that can be had.
func (s *session) create(list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if s.list == nil {
		return s.ctx.CreateObject(s.h, list)
	}
	flat := flatten(list)
	defer clear(flat)
	var h C.ck_ulong
	if rv := C.hg_create(s.list, C.ck_ulong(s.h), bytesPtr(flat), C.ck_ulong(len(flat)), &h); rv != 0 {
		return 0, pkcs11.Error(rv)
	}
	return pkcs11.ObjectHandle(h), nil
}

// unwrapRSAAES is C_UnwrapKey by CKM_RSA_AES_KEY_WRAP.
func (s *session) unwrapRSAAES(key uint, h crypto.Hash, wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if s.list == nil {
		return 0, pkcs11.Error(pkcs11.CKR_MECHANISM_INVALID)
	}
	flat, n := flatten(list), hashMech[h]
	var object C.ck_ulong
	rv := C.hg_unwrap(s.list, C.ck_ulong(s.h), ckmRSAAESKeyWrap, C.ck_ulong(n.ckm), C.ck_ulong(n.mgf), C.ck_ulong(key), bytesPtr(wrapped), C.ck_ulong(len(wrapped)),
		bytesPtr(flat), C.ck_ulong(len(flat)), &object)
	if rv != 0 {
		return 0, pkcs11.Error(rv)
	}
	return pkcs11.ObjectHandle(object), nil
}
