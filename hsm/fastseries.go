package hsm

/*
#cgo noescape hg_sign_series
#cgo nocallback hg_sign_series
#include "fast.h"
#include <time.h>

enum { SERIES_INPUT = 128, SERIES_OUTPUT = 1024, SERIES_LIMIT = 10000000 }; // nanoseconds

typedef struct {
	unsigned long long ticket, open, done; // who swaps open from ticket to 0 makes the signature, and who swaps done has it
	long long begun, ended; // nanoseconds
	ck_ulong key, mech, inlen, outlen, rv;
	int started;
	unsigned char in[SERIES_INPUT], out[SERIES_OUTPUT];
} hg_item;

static long long hg_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int hg_open(hg_item *t) {
	unsigned long long ticket = t->ticket;
	return __atomic_compare_exchange_n(&t->open, &ticket, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void hg_sign_item(ck_list *l, ck_ulong session, hg_item *t) {
	ck_mech m = { t->mech, NULL, 0 };
	t->rv = ((ck_init)l->fn[FN_SIGN_INIT])(session, &m, t->key);
	if (t->rv != 0) return;
	t->started = 1;
	t->outlen = sizeof t->out;
	t->rv = ((ck_op)l->fn[FN_SIGN])(session, t->in, t->inlen, t->out, &t->outlen);
}

// Makes one signature after the other, up to the first that fails, and for as long as they are quick. Returns when it began.
static long long hg_sign_series(void *list, ck_ulong session, hg_item *items, int n) {
	long long now = hg_now(), begun = now;
	for (int i = 0; i < n; i++) {
		hg_item *t = &items[i];
		if (!hg_open(t)) continue;
		t->begun = now;
		hg_sign_item(list, session, t);
		t->ended = now = hg_now();
		ck_ulong rv = t->rv;
		__atomic_store_n(&t->done, t->ticket, __ATOMIC_RELEASE);
		if (rv != 0 || now - begun > SERIES_LIMIT) break;
	}
	return begun;
}
*/
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// What a job of a series may bring, and get: as much as any other that is not long.
const (
	seriesInput  = C.SERIES_INPUT
	seriesOutput = C.SERIES_OUTPUT
)

// series is the memory of a worker's series, which the module reads and writes. It holds no pointers, as cgo wants it, and a job whose caller
// gives up in the middle has no part in it.
type series [maxSeries]C.hg_item

// place is where a job of a series stands. The worker answers the job, or its caller takes it back, because another job of the series does not
// come to its end: whoever swaps the ticket for 0 first. A ticket is given once, so that nobody takes what stands there later.
type place struct {
	open, done *uint64
	ticket     uint64
}

var tickets atomic.Uint64

// untried takes a job that was not begun, finished one that came to its end.
func (p place) untried() bool  { return atomic.CompareAndSwapUint64(p.open, p.ticket, 0) }
func (p place) finished() bool { return atomic.CompareAndSwapUint64(p.done, p.ticket, 0) }

// none reports whether the job stands in no series.
func (p place) none() bool { return p.ticket == 0 }

// put lays a job's input in place i.
func (r *series) put(i int, j *job) place {
	item := &r[i]
	p := place{(*uint64)(unsafe.Pointer(&item.open)), (*uint64)(unsafe.Pointer(&item.done)), tickets.Add(1)}
	item.key, item.mech, item.inlen, item.started = C.ck_ulong(j.key), C.ck_ulong(j.mech.typ), C.ck_ulong(len(j.in)), 0
	copy(unsafe.Slice((*byte)(&item.in[0]), seriesInput), j.in)
	item.ticket = C.ulonglong(p.ticket)
	atomic.StoreUint64(p.done, 0)
	atomic.StoreUint64(p.open, p.ticket)
	return p
}

// sign makes the first n signatures, in one call. It returns when it began, in a clock of its own.
func (r *series) sign(list unsafe.Pointer, session uint, n int) int64 {
	return int64(C.hg_sign_series(list, C.ck_ulong(session), &r[0], C.int(n)))
}

// times are when the job in place i was run, in the same clock.
func (r *series) times(i int) (begun, ended int64) { return int64(r[i].begun), int64(r[i].ended) }

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
