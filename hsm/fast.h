// The smallest part of PKCS#11 v2.40 that the hot path needs: the layout of CK_FUNCTION_LIST (pkcs11f.h fixes the order of its members), of
// CK_MECHANISM and its parameters, and of CK_ATTRIBUTE on Unix, where nothing is packed.
#ifndef HG_FAST_H
#define HG_FAST_H
#include <stddef.h>

typedef unsigned long ck_ulong;
typedef struct { unsigned char major, minor; void *fn[68]; } ck_list;
typedef struct { ck_ulong type; void *param; ck_ulong len; } ck_mech;
typedef struct { ck_ulong type; void *value; ck_ulong len; } ck_attr;
typedef ck_ulong (*ck_init)(ck_ulong, ck_mech *, ck_ulong);
typedef ck_ulong (*ck_op)(ck_ulong, unsigned char *, ck_ulong, unsigned char *, ck_ulong *);
typedef ck_ulong (*ck_derive)(ck_ulong, ck_mech *, ck_ulong, ck_attr *, ck_ulong, ck_ulong *);
typedef ck_ulong (*ck_get)(ck_ulong, ck_ulong, ck_attr *, ck_ulong);
typedef ck_ulong (*ck_destroy)(ck_ulong, ck_ulong);
typedef ck_ulong (*ck_random)(ck_ulong, unsigned char *, ck_ulong);
enum { FN_DESTROY_OBJECT = 22, FN_GET_ATTRIBUTE = 24, FN_ENCRYPT_INIT = 29, FN_ENCRYPT = 30, FN_DECRYPT_INIT = 33, FN_DECRYPT = 34,
	FN_SIGN_INIT = 42, FN_SIGN = 43, FN_DERIVE_KEY = 62, FN_GENERATE_RANDOM = 64 };
#endif
