package hsm

/*
#cgo noescape hg_gcm
#cgo nocallback hg_gcm
#cgo noescape hg_agree
#cgo nocallback hg_agree
#cgo noescape hg_random
#cgo nocallback hg_random
#include "fast.h"
#include <string.h>

typedef struct { unsigned char *iv; ck_ulong ivlen, ivbits; unsigned char *aad; ck_ulong aadlen, tagbits; } ck_gcm;
typedef struct { ck_ulong kdf, sharedlen; void *shared; ck_ulong pointlen; unsigned char *point; } ck_ecdh;

// Both steps of an AES-GCM operation. Some modules write their own IV over iv. *begun says whether the Init had succeeded.
static ck_ulong hg_gcm(void *list, int seal, ck_ulong session, ck_ulong key, unsigned char *iv, ck_ulong ivlen, unsigned char *aad,
		ck_ulong aadlen, unsigned char *in, ck_ulong inlen, unsigned char *out, ck_ulong *outlen, int *begun) {
	ck_gcm p = { ivlen ? iv : NULL, ivlen, 8 * ivlen, aadlen ? aad : NULL, aadlen, 128 };
	ck_mech m = { 0x1087, &p, sizeof p }; // CKM_AES_GCM
	ck_list *l = list;
	*begun = 0;
	ck_ulong rv = ((ck_init)l->fn[seal ? FN_ENCRYPT_INIT : FN_DECRYPT_INIT])(session, &m, key);
	if (rv != 0) return rv;
	*begun = 1;
	return ((ck_op)l->fn[seal ? FN_ENCRYPT : FN_DECRYPT])(session, in, inlen, out, outlen);
}

// Derives, reads and destroys: the secret is an object for no longer than that, and no copy of it is left in the heap of C. size 0: the
// template names no length.
static ck_ulong hg_agree(void *list, ck_ulong session, ck_ulong key, unsigned char *point, ck_ulong pointlen, ck_ulong size,
		unsigned char *out, ck_ulong *outlen) {
	ck_ecdh p = { 1, 0, NULL, pointlen, point }; // CKD_NULL
	ck_mech m = { 0x1050, &p, sizeof p }; // CKM_ECDH1_DERIVE
	ck_ulong class = 4, type = 0x10, h = 0; // CKO_SECRET_KEY, CKK_GENERIC_SECRET
	unsigned char yes = 1, no = 0;
	ck_attr a[] = { { 0x0, &class, sizeof class }, { 0x100, &type, sizeof type }, { 0x1, &no, 1 }, { 0x2, &yes, 1 },
		{ 0x103, &no, 1 }, { 0x162, &yes, 1 }, { 0x161, &size, sizeof size } }; // TOKEN, PRIVATE, SENSITIVE, EXTRACTABLE, VALUE_LEN
	ck_list *l = list;
	ck_ulong room = *outlen;
	*outlen = 0;
	ck_ulong rv = ((ck_derive)l->fn[FN_DERIVE_KEY])(session, &m, key, a, size ? 7 : 6, &h);
	if (rv != 0) return rv;
	ck_attr value = { 0x11, out, room }; // CKA_VALUE
	rv = ((ck_get)l->fn[FN_GET_ATTRIBUTE])(session, h, &value, 1);
	ck_ulong gone = ((ck_destroy)l->fn[FN_DESTROY_OBJECT])(session, h);
	if (rv == 0 && gone == 0 && value.len <= room) *outlen = value.len;
	return rv != 0 ? rv : gone;
}

static ck_ulong hg_random(void *list, ck_ulong session, unsigned char *out, ck_ulong n) {
	return ((ck_random)((ck_list *)list)->fn[FN_GENERATE_RANDOM])(session, out, n);
}
*/
import "C"

import "unsafe"

// fastGCM returns the CK_RV, the length written to out, and whether the operation had begun when it failed.
func fastGCM(list unsafe.Pointer, session, key uint, seal bool, p *gcm, in, out []byte) (rv uint, n int, begun bool) {
	size, b, op := C.ck_ulong(len(out)), C.int(0), C.int(0)
	if seal {
		op = 1
	}
	r := C.hg_gcm(list, op, C.ck_ulong(session), C.ck_ulong(key), bytesPtr(p.iv[:]), C.ck_ulong(p.size), bytesPtr(p.aad), C.ck_ulong(len(p.aad)),
		bytesPtr(in), C.ck_ulong(len(in)), bytesPtr(out), &size, &b)
	return uint(r), int(size), b != 0
}

// fastAgree writes the shared secret to out.
func fastAgree(list unsafe.Pointer, session, key uint, point []byte, size int, out []byte) (rv uint, n int) {
	room := C.ck_ulong(len(out))
	r := C.hg_agree(list, C.ck_ulong(session), C.ck_ulong(key), bytesPtr(point), C.ck_ulong(len(point)), C.ck_ulong(size), bytesPtr(out), &room)
	return uint(r), int(room)
}

func fastRandom(list unsafe.Pointer, session uint, out []byte) (rv uint) {
	return uint(C.hg_random(list, C.ck_ulong(session), bytesPtr(out), C.ck_ulong(len(out))))
}
