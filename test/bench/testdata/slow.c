// A PKCS#11 library that hands every call on to a real one ($HSMGATE_BENCH_MODULE), and has C_Sign take $HSMGATE_BENCH_MILLISECONDS longer
// without using the processor: an HSM on a network.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long ul;
typedef struct { unsigned char major, minor; void *fn[68]; } list;
enum { GET_FUNCTION_LIST = 3, SIGN = 43 };

static list *real, mine;
static struct timespec longer;

static ul slow_sign(ul session, void *data, ul n, void *signature, ul *size) {
	nanosleep(&longer, NULL);
	ul (*sign)(ul, void *, ul, void *, ul *) = real->fn[SIGN];
	return sign(session, data, n, signature, size);
}

ul C_GetFunctionList(list **out) {
	if (real == NULL) {
		void *module = dlopen(getenv("HSMGATE_BENCH_MODULE"), RTLD_NOW);
		ul (*get)(list **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
		if (get == NULL || get(&real) != 0) return 6; // CKR_FUNCTION_FAILED
		longer.tv_nsec = atol(getenv("HSMGATE_BENCH_MILLISECONDS")) * 1000000;
		memcpy(&mine, real, sizeof mine);
		mine.fn[GET_FUNCTION_LIST] = C_GetFunctionList;
		mine.fn[SIGN] = slow_sign;
	}
	*out = &mine;
	return 0;
}
