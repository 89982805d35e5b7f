package hsm

/*
#include "fast.h"
#include <dlfcn.h>
#include <stdlib.h>

// C_DecapsulateKey is in CK_FUNCTION_LIST_3_2 alone (PKCS#11 v3.2, 5.18.9), which C_GetInterface gives.
typedef struct { unsigned char major, minor; void *fn[94]; } ck_list32;
typedef struct { char *name; void *list; ck_ulong flags; } ck_interface;
typedef struct { unsigned char major, minor; } ck_version;
enum { FN_DECAPSULATE = 93 };

static void *hg_list32(const char *path) {
	void *lib = dlopen(path, RTLD_LAZY);
	if (lib == NULL) return NULL;
	ck_ulong (*get)(const char *, ck_version *, ck_interface **, ck_ulong) = dlsym(lib, "C_GetInterface");
	ck_interface *i = NULL;
	ck_version v = { 3, 2 };
	if (get == NULL || get("PKCS 11", &v, &i, 0) != 0 || i == NULL || i->list == NULL) return NULL;
	ck_list32 *l = i->list;
	return l->major == 3 && l->minor >= 2 ? l : NULL;
}

// The secret is an object of the session for as long as it takes to read it.
static ck_ulong hg_decapsulate(void *list, ck_ulong session, ck_ulong mech, ck_ulong key, unsigned char *in, ck_ulong inlen, ck_ulong size, ck_ulong *out) {
	ck_ulong (*f)(ck_ulong, ck_mech *, ck_ulong, ck_attr *, ck_ulong, unsigned char *, ck_ulong, ck_ulong *) = ((ck_list32 *)list)->fn[FN_DECAPSULATE];
	ck_ulong class = 4, type = 0x10; // CKO_SECRET_KEY, CKK_GENERIC_SECRET
	unsigned char yes = 1, no = 0;
	ck_mech m = { mech, NULL, 0 };
	ck_attr a[] = {
		{ 0, &class, sizeof class }, { 0x100, &type, sizeof type }, { 1, &no, 1 }, // CKA_CLASS, CKA_KEY_TYPE, CKA_TOKEN
		{ 0x103, &no, 1 }, { 0x162, &yes, 1 }, { 0x161, &size, sizeof size },      // CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_VALUE_LEN
	};
	if (f == NULL) return 0x54; // CKR_FUNCTION_NOT_SUPPORTED
	return f(session, &m, key, a, sizeof a / sizeof *a, in, inlen, out);
}
*/
import "C"

import "unsafe"

// functionList32 returns the library's CK_FUNCTION_LIST_3_2, or nil where there is none.
func functionList32(path string) unsafe.Pointer {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	return C.hg_list32(p)
}

// fastDecapsulate returns the handle of a session object with the secret, and the CK_RV.
func fastDecapsulate(list unsafe.Pointer, session, key uint, ciphertext []byte) (object, rv uint) {
	var h C.ck_ulong
	r := C.hg_decapsulate(list, C.ck_ulong(session), ckmMLKEM, C.ck_ulong(key), bytesPtr(ciphertext), C.ck_ulong(len(ciphertext)), sharedSize, &h)
	return uint(h), uint(r)
}
