package hsm

/*
#cgo noescape hg_sign_series
#cgo nocallback hg_sign_series
#include "fast.h"

enum { SERIES_INPUT = 128, SERIES_OUTPUT = 512 };

typedef struct {
	ck_ulong key, mech, inlen, outlen, rv;
	int begun;
	unsigned char in[SERIES_INPUT], out[SERIES_OUTPUT];
} hg_item;

// Makes one signature after the other, up to the first that fails, and returns how many it has tried.
static int hg_sign_series(void *list, ck_ulong session, hg_item *items, int n) {
	ck_list *l = list;
	for (int i = 0; i < n; i++) {
		hg_item *t = &items[i];
		ck_mech m = { t->mech, NULL, 0 };
		t->begun = 0;
		t->rv = ((ck_init)l->fn[FN_SIGN_INIT])(session, &m, t->key);
		if (t->rv != 0) return i + 1;
		t->begun = 1;
		t->outlen = sizeof t->out;
		t->rv = ((ck_op)l->fn[FN_SIGN])(session, t->in, t->inlen, t->out, &t->outlen);
		if (t->rv != 0) return i + 1;
	}
	return n;
}
*/
import "C"

import "unsafe"

// What a job of a series may bring, and get.
const (
	seriesInput  = C.SERIES_INPUT
	seriesOutput = C.SERIES_OUTPUT
)

// series is the memory of a worker's series, which the module reads and writes. It holds no pointers, as cgo wants it, and a job whose caller
// gives up in the middle has no part in it.
type series [maxSeries]C.hg_item

// put lays a job's input in place i.
func (r *series) put(i int, j *job) {
	item := &r[i]
	item.key, item.mech, item.inlen = C.ck_ulong(j.key), C.ck_ulong(j.mech.typ), C.ck_ulong(len(j.in))
	copy(unsafe.Slice((*byte)(&item.in[0]), seriesInput), j.in)
}

// sign makes the first n signatures, in one call; it returns how many it tried.
func (r *series) sign(list unsafe.Pointer, session uint, n int) int {
	return int(C.hg_sign_series(list, C.ck_ulong(session), &r[0], C.int(n)))
}

// get gives a job the answer of place i.
func (r *series) get(i int, j *job) {
	item := &r[i]
	j.rv, j.begun = uint(item.rv), item.begun != 0
	n := min(int(item.outlen), seriesOutput, len(j.out))
	if item.rv != 0 {
		n = 0
	}
	j.out = j.out[:copy(j.out, unsafe.Slice((*byte)(&item.out[0]), n))]
}
