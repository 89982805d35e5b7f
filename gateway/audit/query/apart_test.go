package query

import (
	"slices"
	"testing"
)

// Whatever lies near each other is one worker's, and nothing is left out or moved.
func TestApart(t *testing.T) {
	for name, c := range map[string]struct {
		seqs []uint64
		runs []int // lengths
	}{
		"one":         {[]uint64{7}, []int{1}},
		"near":        {[]uint64{1, 2, 3, 4, 5, 6, 7, 8}, []int{8}},
		"apart":       {[]uint64{10, 20, 30, 40, 50, 60, 70, 80}, []int{2, 2, 2, 2}},
		"fewer":       {[]uint64{10, 20, 30}, []int{1, 1, 1}},
		"two places":  {[]uint64{1, 2, 3, 4, 5, 80, 81, 82}, []int{5, 3}},
		"a long run":  {[]uint64{1, 20, 21, 22, 23, 24, 25, 50}, []int{7, 1}},
		"exact bound": {[]uint64{1, 6, 11, 17}, []int{3, 1}},
	} {
		var all []candidate
		for _, seq := range c.seqs {
			all = append(all, candidate{seq: seq})
		}
		var runs []int
		var got []uint64
		for _, run := range apart(all, 5) {
			runs = append(runs, len(run))
			for _, one := range run {
				got = append(got, one.seq)
			}
		}
		if !slices.Equal(got, c.seqs) || !slices.Equal(runs, c.runs) {
			t.Errorf("%s: %v in runs of %v", name, got, runs)
		}
	}
}
