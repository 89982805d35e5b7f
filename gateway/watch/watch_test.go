package watch

import (
	"testing"
)

var testSettings = Settings{}

func newScores() map[Rule]*score {
	scores := make(map[Rule]*score)
	for _, r := range Rules {
		scores[r] = new(score)
	}
	return scores
}

func TestDev(t *testing.T) {
	scores := newScores()
	for seed := range uint64(8) {
		judge(t, seed+1, 3, testSettings, scores)
	}
	for _, r := range Rules {
		s := scores[r]
		t.Logf("%-17s precision %.3f recall %.3f %+v", r, s.precision(), s.recall(), *s)
	}
	quiet := newScores()
	for seed := range uint64(8) {
		judge(t, seed+1, 0, testSettings, quiet)
	}
	for _, r := range Rules {
		t.Logf("%-17s plain: %+v", r, *quiet[r])
	}
}
