package hsm

import (
	"runtime"
	"sync/atomic"
)

// comb is a table of sums of multiples of a point Q, with which a multiple of Q takes 32 additions and 7 doublings (C. Lim and P. Lee, 'More
// Flexible Exponentiation with Precomputation', CRYPTO '94) in place of 255 doublings and 51 additions. Row b holds in place d-1, for the bits
// i of d, the sum of the points 2^(32i+8b) * Q. It takes 110 or 170 KB and a millisecond to make. The scalars are public: nothing here takes
// constant time.
type comb[P point[P]] [combRows][1<<combTeeth - 1]P

const (
	combTeeth = 8
	combRows  = 4
)

// point is a pointer to a point of a curve; Add sets it to the sum of two, whichever they are.
type point[P any] interface{ Add(p, q P) P }

// group is what else a comb needs of a curve.
type group[P point[P]] struct {
	zero   func() P
	double func(P)
}

func newComb[P point[P]](g group[P], base P) *comb[P] {
	t := new(comb[P])
	p := g.zero().Add(g.zero(), base)
	for i := range combTeeth {
		for b := range t {
			tooth := 1 << i
			t[b][tooth-1] = g.zero().Add(g.zero(), p)
			for d := 1; d < tooth; d++ {
				t[b][tooth+d-1] = g.zero().Add(p, t[b][d-1])
			}
			for range 8 {
				g.double(p)
			}
		}
	}
	return t
}

// term is a multiple of a comb's point. The scalar is little-endian.
type term[P point[P]] struct {
	comb   *comb[P]
	scalar *[32]byte
}

// sum adds the terms up.
func (g group[P]) sum(terms ...term[P]) P {
	p := g.zero()
	for column := 7; column >= 0; column-- {
		g.double(p)
		for _, t := range terms {
			for b := range t.comb {
				if d := combDigit(t.scalar, b, column); d != 0 {
					p.Add(p, t.comb[b][d-1])
				}
			}
		}
	}
	return p
}

// combDigit gathers the bits 32i + 8*row + column of a scalar, for each tooth i.
func combDigit(scalar *[32]byte, row, column int) int {
	d := 0
	for i := range combTeeth {
		d |= int(scalar[4*i+row]>>column&1) << i
	}
	return d
}

const (
	tableAfter = 64 // signatures after which a key gets its table
	maxTables  = 64 // in the process: 11 MB at most. The keys that come later are checked by the standard library
)

var tables atomic.Int32 // how many there are

// takeTable makes a table where there is room for one, nil otherwise. The room is free again when the key, and the table with it, is garbage.
func takeTable[T any](build func() (*T, error)) *T {
	if tables.Add(1) > maxTables {
		tables.Add(-1)
		return nil
	}
	t, err := build()
	if err != nil {
		tables.Add(-1)
		return nil
	}
	runtime.AddCleanup(t, func(n int32) { tables.Add(n) }, -1)
	return t
}
