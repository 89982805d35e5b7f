package hsm

/*
#cgo linux LDFLAGS: -ldl
#cgo noescape hg_sign
#cgo nocallback hg_sign
#cgo noescape hg_decrypt
#cgo nocallback hg_decrypt
#include "fast.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef struct { ck_ulong hash, mgf, salt; } ck_pss;
typedef struct { ck_ulong hash, mgf, source; void *data; ck_ulong len; } ck_oaep;
typedef struct { unsigned char ph; ck_ulong len; void *ctx; } ck_eddsa;
enum { PARAM_NONE = 0, PARAM_PSS = 1, PARAM_OAEP = 2, PARAM_EDDSA_PH = 3 };

static void *hg_list(const char *path) {
	void *lib = dlopen(path, RTLD_LAZY);
	if (lib == NULL) return NULL;
	ck_ulong (*get)(void **) = (ck_ulong (*)(void **))dlsym(lib, "C_GetFunctionList");
	void *list = NULL;
	if (get == NULL || get(&list) != 0) return NULL;
	return list;
}

typedef struct { ck_ulong session, key, mech, param, hash, mgf, salt; } hg_call;

static void hg_mech(const hg_call *c, ck_mech *m, void *space) {
	m->type = c->mech; m->param = NULL; m->len = 0;
	if (c->param == PARAM_PSS) {
		ck_pss p = { c->hash, c->mgf, c->salt };
		memcpy(space, &p, sizeof p); m->param = space; m->len = sizeof p;
	} else if (c->param == PARAM_OAEP) {
		ck_oaep p = { c->hash, c->mgf, 1, NULL, 0 }; // CKZ_DATA_SPECIFIED, empty label
		memcpy(space, &p, sizeof p); m->param = space; m->len = sizeof p;
	} else if (c->param == PARAM_EDDSA_PH) {
		ck_eddsa p; memset(&p, 0, sizeof p); p.ph = 1;
		memcpy(space, &p, sizeof p); m->param = space; m->len = sizeof p;
	}
}

// Both return the CK_RV of the last call made; *begun says whether the Init had succeeded, so that an operation may be left active.
static ck_ulong hg_run(void *list, int init, int op, const hg_call *c, unsigned char *in, ck_ulong inlen,
		unsigned char *out, ck_ulong *outlen, int *begun) {
	ck_mech m; ck_ulong space[8];
	ck_list *l = list;
	hg_mech(c, &m, space);
	*begun = 0;
	ck_ulong rv = ((ck_init)l->fn[init])(c->session, &m, c->key);
	if (rv != 0) return rv;
	*begun = 1;
	return ((ck_op)l->fn[op])(c->session, in, inlen, out, outlen);
}
static ck_ulong hg_sign(void *list, const hg_call *c, unsigned char *in, ck_ulong inlen, unsigned char *out, ck_ulong *outlen, int *begun) {
	return hg_run(list, FN_SIGN_INIT, FN_SIGN, c, in, inlen, out, outlen, begun);
}
static ck_ulong hg_decrypt(void *list, const hg_call *c, unsigned char *in, ck_ulong inlen, unsigned char *out, ck_ulong *outlen, int *begun) {
	return hg_run(list, FN_DECRYPT_INIT, FN_DECRYPT, c, in, inlen, out, outlen, begun);
}
*/
import "C"

import "unsafe"

// A signature is one cgo call (C_SignInit and C_Sign together, into a buffer of ours) where miekg/pkcs11 makes three: 10 to 25 % less CPU for
// P-256. The list comes from the same library path that miekg opened, so dlopen gives the same library with the same state.

// The kinds of mechanism parameter that run builds.
const (
	paramNone      = C.PARAM_NONE
	paramPSS       = C.PARAM_PSS
	paramOAEP      = C.PARAM_OAEP
	paramEdDSAHash = C.PARAM_EDDSA_PH
)

// mechanism is a CK_MECHANISM with the numbers for its parameter.
type mechanism struct {
	typ, param, hash, mgf, salt uint
}

// functionList returns the library's CK_FUNCTION_LIST, or nil where there is none.
func functionList(path string) unsafe.Pointer {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	return C.hg_list(p)
}

// fastSign and fastDecrypt return the CK_RV, the length written to out, and whether the operation had begun when it failed.
func fastSign(list unsafe.Pointer, session, key uint, m *mechanism, in, out []byte) (rv uint, n int, begun bool) {
	c := fastCall(session, key, m)
	size, b := C.ck_ulong(len(out)), C.int(0)
	r := C.hg_sign(list, &c, bytesPtr(in), C.ck_ulong(len(in)), bytesPtr(out), &size, &b)
	return uint(r), int(size), b != 0
}

func fastDecrypt(list unsafe.Pointer, session, key uint, m *mechanism, in, out []byte) (rv uint, n int, begun bool) {
	c := fastCall(session, key, m)
	size, b := C.ck_ulong(len(out)), C.int(0)
	r := C.hg_decrypt(list, &c, bytesPtr(in), C.ck_ulong(len(in)), bytesPtr(out), &size, &b)
	return uint(r), int(size), b != 0
}

func fastCall(session, key uint, m *mechanism) C.hg_call {
	return C.hg_call{session: C.ck_ulong(session), key: C.ck_ulong(key), mech: C.ck_ulong(m.typ), param: C.ck_ulong(m.param),
		hash: C.ck_ulong(m.hash), mgf: C.ck_ulong(m.mgf), salt: C.ck_ulong(m.salt)}
}

// cString and freeCString make and free a C string, for pReserved.
func cString(s string) unsafe.Pointer { return unsafe.Pointer(C.CString(s)) }

func freeCString(p unsafe.Pointer) { C.free(p) }

func bytesPtr(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }
