package hsm

/*
#cgo noescape hg_sign_series
#cgo nocallback hg_sign_series
#include "fast.h"
#include <time.h>

enum { SERIES_INPUT = 128, SERIES_OUTPUT = 512 };

typedef struct {
	unsigned long long ticket, claim; // who swaps claim from ticket to 0 makes the signature
	long long begun, ended; // nanoseconds
	ck_ulong key, mech, inlen, outlen, rv;
	int ran, started;
	unsigned char in[SERIES_INPUT], out[SERIES_OUTPUT];
} hg_item;

static long long hg_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int hg_claim(hg_item *t) {
	unsigned long long ticket = t->ticket;
	return __atomic_compare_exchange_n(&t->claim, &ticket, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void hg_sign_item(ck_list *l, ck_ulong session, hg_item *t) {
	ck_mech m = { t->mech, NULL, 0 };
	t->rv = ((ck_init)l->fn[FN_SIGN_INIT])(session, &m, t->key);
	if (t->rv != 0) return;
	t->started = 1;
	t->outlen = sizeof t->out;
	t->rv = ((ck_op)l->fn[FN_SIGN])(session, t->in, t->inlen, t->out, &t->outlen);
}

// Makes one signature after the other, up to the first that fails. Returns when it began.
static long long hg_sign_series(void *list, ck_ulong session, hg_item *items, int n) {
	long long now = hg_now(), begun = now;
	for (int i = 0; i < n; i++) {
		hg_item *t = &items[i];
		if (!hg_claim(t)) continue;
		t->ran = 1;
		t->begun = now;
		hg_sign_item(list, session, t);
		t->ended = now = hg_now();
		if (t->rv != 0) break;
	}
	return begun;
}
*/
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// What a job of a series may bring, and get.
const (
	seriesInput  = C.SERIES_INPUT
	seriesOutput = C.SERIES_OUTPUT
)

// series is the memory of a worker's series, which the module reads and writes. It holds no pointers, as cgo wants it, and a job whose caller
// gives up in the middle has no part in it.
type series [maxSeries]C.hg_item

// place is where a job of a series stands. Whoever claims it runs the job: the worker, in its turn, or the caller, who takes it back because
// a job before it does not come to its end. A ticket is given once, so that nobody claims what stands there later.
type place struct {
	claim  *uint64
	ticket uint64
}

var tickets atomic.Uint64

func (p place) take() bool {
	return p.claim != nil && atomic.CompareAndSwapUint64(p.claim, p.ticket, 0)
}

// free reports whether nobody else can take the place: it is none, or this was the first to try.
func (p place) free() bool { return p.claim == nil || p.take() }

// put lays a job's input in place i.
func (r *series) put(i int, j *job) place {
	item := &r[i]
	p := place{(*uint64)(unsafe.Pointer(&item.claim)), tickets.Add(1)}
	item.key, item.mech, item.inlen, item.ran, item.started = C.ck_ulong(j.key), C.ck_ulong(j.mech.typ), C.ck_ulong(len(j.in)), 0, 0
	copy(unsafe.Slice((*byte)(&item.in[0]), seriesInput), j.in)
	item.ticket = C.ulonglong(p.ticket)
	atomic.StoreUint64(p.claim, p.ticket)
	return p
}

// sign makes the first n signatures, in one call. It returns when it began, in a clock of its own.
func (r *series) sign(list unsafe.Pointer, session uint, n int) int64 {
	return int64(C.hg_sign_series(list, C.ck_ulong(session), &r[0], C.int(n)))
}

// ran reports whether the job in place i was run, and when, in the same clock.
func (r *series) ran(i int) (begun, ended int64, ran bool) {
	return int64(r[i].begun), int64(r[i].ended), r[i].ran != 0
}

// get gives a job the answer of place i.
func (r *series) get(i int, j *job) {
	item := &r[i]
	j.rv, j.begun = uint(item.rv), item.started != 0
	n := uint64(item.outlen)
	if item.rv != 0 || n > seriesOutput || n > uint64(len(j.out)) {
		n = 0
	}
	j.out = j.out[:copy(j.out, unsafe.Slice((*byte)(&item.out[0]), int(n)))]
}

// clear forgets what was signed, and the signatures.
func (r *series) clear(n int) {
	for i := range r[:n] {
		clear(r[i].in[:])
		clear(r[i].out[:])
	}
}
