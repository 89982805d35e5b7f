// A PKCS#11 library that hands every call on to a real one ($HSM_FAULT_MODULE) and makes the one fault that the file $HSM_FAULT_FILE names at
// that moment. For tests of what a sound token never does.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ul;
typedef struct { ul type; void *value; ul len; } attr;
typedef struct { ul type; void *param; ul len; } mech;
typedef struct { unsigned char *iv; ul ivlen, ivbits; unsigned char *aad; ul aadlen, tagbits; } gcm;
typedef struct { unsigned char major, minor; void *fn[68]; } list;
enum { GET_TOKEN_INFO = 6, GET_MECHANISM_INFO = 8, OPEN_SESSION = 12, GET_SESSION_INFO = 15, LOGIN = 18, GET_ATTRIBUTE = 24, FIND_INIT = 26, ENCRYPT_INIT = 29, ENCRYPT = 30, DECRYPT_INIT = 33, SIGN_INIT = 42, SIGN = 43,
	GENERATE = 58, GENERATE_PAIR = 59, CREATE = 20, SET_ATTRIBUTE = 25, UNWRAP = 61, DERIVE = 62, RANDOM = 64 };
enum { CKA_TOKEN = 1, CKA_VALUE = 0x11, CKA_SENSITIVE = 0x103, CKA_DECRYPT = 0x105, CKA_WRAP = 0x106, CKA_VALUE_LEN = 0x161, CKA_EXTRACTABLE = 0x162, CKA_ALLOWED_MECHANISMS = 0x40000600 };

static list *real, mine;

static int fault(const char *name) {
	char word[32] = "";
	const char *path = getenv("HSM_FAULT_FILE");
	FILE *f = path ? fopen(path, "r") : NULL;
	if (f == NULL) return 0;
	if (fscanf(f, "%31s", word) != 1) word[0] = 0;
	fclose(f);
	return strcmp(word, name) == 0;
}

// With "step HOW N ID", the N-th of the calls that touch objects since the file said so fails: HOW is "failed"; "done", where it is done all the same; or
// "gone", where every later one fails too. Of "done" only those count that change something, of "gone" none that reads an attribute. ID is new each time.
// A file beside it tells that it came to that.
static ul stepped(int fn, void *inner, ul a, ul b, ul c, ul d, ul e, ul f, ul g, ul h) {
	ul (*next)(ul, ul, ul, ul, ul, ul, ul, ul) = inner;
	static int now, count;
	char how[8] = "", met[512];
	int n = 0, id = 0, changes = fn == 20 || fn == 21 || fn == 22 || fn == 25 || fn == 58 || fn == 59 || fn == 61 || fn == 62;
	const char *path = getenv("HSM_FAULT_FILE");
	FILE *file = path ? fopen(path, "r") : NULL;
	if (file != NULL) {
		if (fscanf(file, "step %7s %d %d", how, &n, &id) != 3) n = 0;
		fclose(file);
	}
	int done = strcmp(how, "done") == 0, gone = strcmp(how, "gone") == 0;
	if (n == 0) return next(a, b, c, d, e, f, g, h);
	if (now != id) { now = id; count = 0; }
	int counts = done ? changes : !(gone && fn == GET_ATTRIBUTE);
	int at = counts ? __sync_add_and_fetch(&count, 1) : 0;
	if (at != n && !(gone && count >= n)) return next(a, b, c, d, e, f, g, h);
	snprintf(met, sizeof met, "%s.met", path);
	if ((file = fopen(met, "w")) != NULL) fclose(file);
	if (done) next(a, b, c, d, e, f, g, h);
	return 6; // CKR_FUNCTION_FAILED
}

static attr *find(attr *a, ul n, ul type) {
	for (ul i = 0; i < n; i++) if (a[i].type == type) return &a[i];
	return NULL;
}

static int is(attr *a, int want) { return a && a->len == 1 && *(unsigned char *)a->value == want; }

// With "sessions-dead", every session that was open when the fault was first met.
static ul newest, dead;

static ul open_session(ul slot, ul flags, void *app, void *notify, ul *s) {
	ul (*next)(ul, ul, void *, void *, ul *) = real->fn[OPEN_SESSION];
	ul rv = next(slot, flags, app, notify, s);
	if (rv == 0 && *s > newest) newest = *s;
	return rv;
}

static int is_dead(ul s) {
	if (dead == 0 && fault("sessions-dead")) dead = newest;
	return s <= dead;
}

static ul session_info(ul s, void *info) {
	return is_dead(s) ? 0xB3 : ((ul (*)(ul, void *))real->fn[GET_SESSION_INFO])(s, info);
}

static ul find_init(ul s, attr *a, ul n) {
	return is_dead(s) ? 0xB3 : ((ul (*)(ul, attr *, ul))real->fn[FIND_INIT])(s, a, n);
}

static ul generate(ul s, void *m, attr *pub, ul npub, attr *priv, ul npriv, ul *hpub, ul *hpriv) {
	ul (*next)(ul, void *, attr *, ul, attr *, ul, ul *, ul *) = real->fn[GENERATE_PAIR];
	static unsigned char yes = 1;
	attr copy[64];
	int token = is(find(priv, npriv, CKA_TOKEN), 1);
	if (npriv > 64) return 5;
	memcpy(copy, priv, npriv * sizeof *priv);
	if (!token && fault("no-session-keys")) return 0xD1; // CKR_TEMPLATE_INCONSISTENT
	if (token && find(priv, npriv, CKA_ALLOWED_MECHANISMS) && fault("general-error")) return 5;
	if (token && fault("extractable")) find(copy, npriv, CKA_EXTRACTABLE)->value = &yes;
	if (token && fault("decrypts")) find(copy, npriv, CKA_DECRYPT)->value = &yes;
	ul rv = next(s, m, pub, npub, copy, npriv, hpub, hpriv);
	if (rv == 0 && token && fault("fails-after")) return 6; // CKR_FUNCTION_FAILED, and the pair is there
	if (rv == 0 && token && fault("slow-generate")) while (fault("slow-generate")) usleep(2000);
	return rv;
}

static ul twins[2]; // the two secret keys made last

static ul generate_secret(ul s, void *m, attr *a, ul n, ul *h) {
	ul (*next)(ul, void *, attr *, ul, ul *) = real->fn[GENERATE];
	static unsigned char yes = 1;
	attr copy[64];
	int token = is(find(a, n, CKA_TOKEN), 1);
	if (n > 64) return 5;
	memcpy(copy, a, n * sizeof *a);
	if (!token && fault("no-session-keys")) return 0xD1;
	if (token && fault("extractable")) find(copy, n, CKA_EXTRACTABLE)->value = &yes;
	if (token && fault("decrypts")) find(copy, n, CKA_DECRYPT)->value = &yes;
	if (token && fault("wraps")) find(copy, n, CKA_WRAP)->value = &yes;
	ul rv = next(s, m, copy, n, h);
	if (rv == 0 && token) { twins[0] = twins[1]; twins[1] = *h; }
	if (rv == 0 && token && fault("fails-after")) return 6;
	if (rv == 0 && token && fault("slow-generate")) while (fault("slow-generate")) usleep(2000);
	return rv;
}

// With "swapped", the sessions that were open are dead, and in new ones the handles of the two secret keys made last have changed places.
static ul swapped(ul s, ul h, ul *other) {
	static ul since;
	*other = h;
	if (!fault("swapped")) return since = 0;
	if (since == 0) since = newest;
	if (s <= since) return 0xB3; // CKR_SESSION_HANDLE_INVALID
	if (h == twins[0]) *other = twins[1];
	if (h == twins[1]) *other = twins[0];
	return 0;
}

static ul sign_init(ul s, void *m, ul h) {
	ul other, rv = swapped(s, h, &other);
	return rv ? rv : ((ul (*)(ul, void *, ul))real->fn[SIGN_INIT])(s, m, other);
}

// With "no-gcm" the token has no AES-GCM.
static int no_gcm(mech *m) { return m->type == 0x1087 && fault("no-gcm"); }

// With "gcm-unlisted" it fails and is not in the list of mechanisms either.
static ul mechanism_info(ul slot, ul type, void *info) {
	ul (*next)(ul, ul, void *) = real->fn[GET_MECHANISM_INFO];
	return type == 0x1087 && fault("gcm-unlisted") ? 0x70 : next(slot, type, info);
}

static ul decrypt_init(ul s, void *m, ul h) {
	ul other, rv = swapped(s, h, &other);
	if (no_gcm(m)) return 0x70; // CKR_MECHANISM_INVALID
	return rv ? rv : ((ul (*)(ul, void *, ul))real->fn[DECRYPT_INIT])(s, m, other);
}

// Who makes the IV of AES-GCM: with "writes-iv" the token writes it over the caller's zeros, as CloudHSM; with "appends-iv" it takes none and puts it
// behind the ciphertext, as Luna; with "ignores-iv" it makes its own whatever it is given.
static unsigned char made_iv[16];
static ul appends;

static ul encrypt_init(ul s, mech *m, ul h) {
	ul other, rv = swapped(s, h, &other);
	ul (*next)(ul, mech *, ul) = real->fn[ENCRYPT_INIT];
	gcm *p = m->param;
	if (rv) return rv;
	if (no_gcm(m)) return 0x70;
	if (m->type == 0x1087 && (fault("gcm-fails") || fault("gcm-unlisted"))) return 6; // CKR_FUNCTION_FAILED
	appends = 0;
	((ul (*)(ul, unsigned char *, ul))real->fn[RANDOM])(s, made_iv, sizeof made_iv);
	if (fault("writes-iv")) {
		for (ul i = 0; i < p->ivlen; i++) if (p->iv[i]) return 0x71; // CKR_MECHANISM_PARAM_INVALID
		memcpy(p->iv, made_iv, p->ivlen);
	}
	if (fault("ignores-iv")) memcpy(p->iv, made_iv, p->ivlen);
	if (fault("appends-iv")) {
		if (p->ivlen) return 0x71;
		gcm with = *p;
		with.iv = made_iv; with.ivlen = 16; with.ivbits = 128;
		mech own = { m->type, &with, sizeof with };
		appends = 16;
		return next(s, &own, other);
	}
	return next(s, m, other);
}

static ul encrypt(ul s, unsigned char *in, ul n, unsigned char *out, ul *len) {
	ul rv = ((ul (*)(ul, unsigned char *, ul, unsigned char *, ul *))real->fn[ENCRYPT])(s, in, n, out, len);
	if (rv == 0 && out && appends) {
		memcpy(out + *len, made_iv, appends);
		*len += appends;
	}
	return rv;
}

static ul derive(ul s, void *m, ul key, attr *a, ul n, ul *h) {
	ul (*next)(ul, void *, ul, attr *, ul, ul *) = real->fn[DERIVE];
	return fault("no-length") && find(a, n, CKA_VALUE_LEN) ? 0xD1 : next(s, m, key, a, n, h);
}

static ul random_bytes(ul s, unsigned char *out, ul n) {
	ul rv = ((ul (*)(ul, unsigned char *, ul))real->fn[RANDOM])(s, out, n);
	if (n < 8 || n > 1024) return 7; // CKR_ARGUMENTS_BAD, as kmsp11
	if (fault("zero-random")) memset(out, 0, n);
	return rv;
}

static ul login(ul s, ul user, unsigned char *pin, ul n) {
	ul (*next)(ul, ul, unsigned char *, ul) = real->fn[LOGIN];
	ul rv = next(s, user, pin, n);
	return rv != 0 && fault("vendor-code") ? 0x80000001 : rv;
}

static ul get_attribute(ul s, ul h, attr *a, ul n) {
	ul (*next)(ul, ul, attr *, ul) = real->fn[GET_ATTRIBUTE];
	if (find(a, n, CKA_SENSITIVE) && fault("blind")) return 0x12; // CKR_ATTRIBUTE_TYPE_INVALID
	ul rv = next(s, h, a, n);
	if (rv == 0 && n == 1 && a->type == CKA_VALUE && a->value && fault("no-length")) { // and no leading zeros
		unsigned char *v = a->value;
		while (a->len > 1 && *v == 0) memmove(v, v + 1, --a->len);
	}
	return rv;
}

static ul sign(ul s, unsigned char *in, ul n, unsigned char *out, ul *len) {
	ul (*next)(ul, unsigned char *, ul, unsigned char *, ul *) = real->fn[SIGN];
	ul rv = next(s, in, n, out, len);
	if (rv == 0 && out && fault("wrong-signature")) out[*len - 1] ^= 1;
	if (rv == 0 && out && fault("hang-one")) { // the first call that finds it so; the others go on
		static int hanging;
		if (__sync_bool_compare_and_swap(&hanging, 0, 1)) {
			while (!fault("go-on")) usleep(2000);
			hanging = 0;
		}
	}
	return rv;
}

// What comes from outside: C_CreateObject and C_UnwrapKey.
static ul import(ul s, void *m, ul key, unsigned char *in, ul inlen, attr *a, ul n, ul *h) {
	static unsigned char yes = 1, no = 0;
	attr copy[64], *class = find(a, n, 0);
	int token = is(find(a, n, CKA_TOKEN), 1), public = class && *(ul *)class->value == 2;
	if (n > 64) return 5;
	memcpy(copy, a, n * sizeof *a);
	if (public && fault("public-fails")) return 6;
	if (token && !public && (fault("opens") || fault("opens-for-good"))) {
		find(copy, n, CKA_SENSITIVE)->value = &no;
		find(copy, n, CKA_EXTRACTABLE)->value = &yes;
	}
	ul rv = m ? ((ul (*)(ul, void *, ul, unsigned char *, ul, attr *, ul, ul *))real->fn[UNWRAP])(s, m, key, in, inlen, copy, n, h)
	          : ((ul (*)(ul, attr *, ul, ul *))real->fn[CREATE])(s, copy, n, h);
	if (rv == 0 && token && fault("fails-after")) return 6;
	if (rv == 0 && token && fault("slow-generate")) while (fault("slow-generate")) usleep(2000);
	return rv;
}

static ul create(ul s, attr *a, ul n, ul *h) { return import(s, NULL, 0, NULL, 0, a, n, h); }

static ul unwrap(ul s, void *m, ul key, unsigned char *in, ul inlen, attr *a, ul n, ul *h) { return import(s, m, key, in, inlen, a, n, h); }

static ul set_attribute(ul s, ul h, attr *a, ul n) {
	return fault("opens-for-good") ? 0 : ((ul (*)(ul, ul, attr *, ul))real->fn[SET_ATTRIBUTE])(s, h, a, n);
}

static ul token_info(ul slot, unsigned char *info) {
	ul (*next)(ul, unsigned char *) = real->fn[GET_TOKEN_INFO];
	ul rv = next(slot, info);
	if (rv == 0 && fault("six-sessions")) {
		ul *max = (ul *)(info + 32 + 32 + 16 + 16 + sizeof(ul)); // ulMaxSessionCount follows the four texts and the flags
		*max = 6;
	}
	return rv;
}

// Each takes as many arguments as the one with the most: what is too much is not looked at.
static void *inner[68];
#define STEP(i) static ul step_##i(ul a, ul b, ul c, ul d, ul e, ul f, ul g, ul h) { return stepped(i, inner[i], a, b, c, d, e, f, g, h); }
#define STEPS(X) X(20) X(21) X(22) X(24) X(25) X(26) X(27) X(29) X(30) X(33) X(34) X(42) X(43) X(58) X(59) X(60) X(61) X(62)
STEPS(STEP)

ul C_GetFunctionList(list **out) {
	if (real == NULL) {
		void *lib = dlopen(getenv("HSM_FAULT_MODULE"), RTLD_NOW);
		ul (*get)(list **) = lib ? dlsym(lib, "C_GetFunctionList") : NULL;
		if (get == NULL || get(&real) != 0) return 5;
		mine = *real;
		mine.fn[OPEN_SESSION] = open_session;
		mine.fn[GET_SESSION_INFO] = session_info;
		mine.fn[FIND_INIT] = find_init;
		mine.fn[LOGIN] = login;
		mine.fn[GENERATE] = generate_secret;
		mine.fn[GENERATE_PAIR] = generate;
		mine.fn[SIGN_INIT] = sign_init;
		mine.fn[ENCRYPT_INIT] = encrypt_init;
		mine.fn[ENCRYPT] = encrypt;
		mine.fn[DECRYPT_INIT] = decrypt_init;
		mine.fn[DERIVE] = derive;
		mine.fn[RANDOM] = random_bytes;
		mine.fn[CREATE] = create;
		mine.fn[UNWRAP] = unwrap;
		mine.fn[SET_ATTRIBUTE] = set_attribute;
		mine.fn[GET_ATTRIBUTE] = get_attribute;
		mine.fn[SIGN] = sign;
		mine.fn[GET_TOKEN_INFO] = token_info;
		mine.fn[GET_MECHANISM_INFO] = mechanism_info;
		memcpy(inner, mine.fn, sizeof inner);
#define PUT(i) mine.fn[i] = step_##i;
		STEPS(PUT)
	}
	*out = &mine;
	return 0;
}
