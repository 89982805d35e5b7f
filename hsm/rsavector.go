package hsm

/*
#cgo noescape hg_rsa_public
#cgo nocallback hg_rsa_public
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

static int hg_vector(void) { __builtin_cpu_init(); return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma"); }

// Montgomery's product r = a * b / 2^(52 * 8v) mod m, in limbs of 52 bits, eight to a vector. With a and b below 2m, and 4m below 2^(52 * 8v),
// r is below 2m too. No lane overflows: each of at most 80 rounds adds four numbers below 2^52 to it.
#define EACH(v) _Pragma("GCC unroll 10") for (int j = 0; j < (v); j++)
__attribute__((target("avx512f,avx512ifma"), always_inline))
static inline void hg_product(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *m, uint64_t k, const int v) {
	const uint64_t mask = (1ull << 52) - 1;
	const __m512i zero = _mm512_setzero_si512();
	__m512i t[10];
	EACH(v) t[j] = zero;
	for (int i = 0; i < 8 * v; i++) {
		__m512i x = _mm512_set1_epi64(b[i]);
		EACH(v) t[j] = _mm512_madd52lo_epu64(t[j], x, _mm512_loadu_si512(a + 8 * j));
		uint64_t low = _mm_cvtsi128_si64(_mm512_castsi512_si128(t[0]));
		__m512i q = _mm512_set1_epi64(low * k & mask);
		EACH(v) t[j] = _mm512_madd52lo_epu64(t[j], q, _mm512_loadu_si512(m + 8 * j));
		low = _mm_cvtsi128_si64(_mm512_castsi512_si128(t[0])); // its low 52 bits are zero now: the limb is shifted out
		EACH(v) t[j] = _mm512_alignr_epi64(j + 1 < v ? t[j + 1] : zero, t[j], 1);
		t[0] = _mm512_add_epi64(t[0], _mm512_maskz_set1_epi64(1, low >> 52));
		EACH(v) t[j] = _mm512_madd52hi_epu64(t[j], x, _mm512_loadu_si512(a + 8 * j));
		EACH(v) t[j] = _mm512_madd52hi_epu64(t[j], q, _mm512_loadu_si512(m + 8 * j));
	}
	EACH(v) _mm512_storeu_si512(r + 8 * j, t[j]);
	for (int i = 0, n = 8 * v; i < n; i++) {
		if (i + 1 < n) r[i + 1] += r[i] >> 52;
		r[i] &= mask;
	}
}

// s becomes s^65537 mod m, or that plus m. rr is 2^(2 * 52 * 8v) mod m, k is -1/m mod 2^52.
#define HG_PUBLIC(v) __attribute__((target("avx512f,avx512ifma"))) \
static void hg_public##v(uint64_t *s, const uint64_t *rr, const uint64_t *m, uint64_t k) { \
	uint64_t x[80]; \
	hg_product(x, s, rr, m, k, v); \
	for (int i = 0; i < 16; i++) hg_product(x, x, x, m, k, v); \
	hg_product(s, x, s, m, k, v); \
}
HG_PUBLIC(5)
HG_PUBLIC(8)
HG_PUBLIC(10)
static void hg_rsa_public(uint64_t *s, const uint64_t *rr, const uint64_t *m, uint64_t k, int v) {
	if (v == 5) hg_public5(s, rr, m, k);
	else if (v == 8) hg_public8(s, rr, m, k);
	else hg_public10(s, rr, m, k);
}
#else
static int hg_vector(void) { return 0; }
static void hg_rsa_public(uint64_t *s, const uint64_t *rr, const uint64_t *m, uint64_t k, int v) {}
#endif
*/
import "C"

import (
	"math/big"
	"unsafe"
)

// vectorRSA says whether this processor multiplies vectors of 52-bit limbs (AVX-512 IFMA), which makes s^65537 mod n five times as fast.
var vectorRSA = C.hg_vector() != 0

// rsaVector is a modulus of 2048, 3072 or 4096 bits, prepared.
type rsaVector struct {
	vectors int // of eight limbs
	m, rr   []uint64
	k       uint64
}

const limbBits = 52

func newRSAVector(n *big.Int) *rsaVector {
	v := map[int]int{2048: 5, 3072: 8, 4096: 10}[n.BitLen()]
	if v == 0 {
		return nil
	}
	base := new(big.Int).Lsh(big.NewInt(1), limbBits)
	k := new(big.Int).ModInverse(n, base) // n is odd
	r := new(big.Int).Lsh(big.NewInt(1), uint(2*limbBits*8*v))
	return &rsaVector{v, limbs(n, 8*v), limbs(r.Mod(r, n), 8*v), k.Sub(base, k).Uint64()}
}

// exp65537 is s^65537 mod n, or that plus n; s is below n.
func (m *rsaVector) exp65537(s *big.Int) *big.Int {
	x := limbs(s, 8*m.vectors)
	ptr := func(l []uint64) *C.uint64_t { return (*C.uint64_t)(unsafe.SliceData(l)) }
	C.hg_rsa_public(ptr(x), ptr(m.rr), ptr(m.m), C.uint64_t(m.k), C.int(m.vectors))
	return fromLimbs(x)
}

// limbs cuts a number into n limbs, the lowest first.
func limbs(x *big.Int, n int) []uint64 {
	words, out := x.Bits(), make([]uint64, n)
	for i := range out {
		bit := limbBits * i
		if w := bit / 64; w < len(words) {
			out[i] = uint64(words[w]) >> (bit % 64)
			if bit%64 > 64-limbBits && w+1 < len(words) {
				out[i] |= uint64(words[w+1]) << (64 - bit%64)
			}
			out[i] &= 1<<limbBits - 1
		}
	}
	return out
}

func fromLimbs(l []uint64) *big.Int {
	words := make([]big.Word, (limbBits*len(l)+63)/64)
	for i, v := range l {
		bit := limbBits * i
		words[bit/64] |= big.Word(v << (bit % 64))
		if bit%64 > 64-limbBits {
			words[bit/64+1] |= big.Word(v >> (64 - bit%64))
		}
	}
	return new(big.Int).SetBits(words)
}
