package watch

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// kinds are plain traffic of one kind each: how often a key is used on average in an hour of Berlin, whose clocks change in
// the weeks that are made. What is drawn in them is drawn once an hour.
var kinds = map[string]func(r *rand.Rand, t time.Time) float64{
	"steady":  func(*rand.Rand, time.Time) float64 { return 40 },
	"office":  func(_ *rand.Rand, t time.Time) float64 { return 25 * office(t) },
	"nightly": func(_ *rand.Rand, t time.Time) float64 { return 2*office(t) + only(t.Hour() == 2, 200) },
	"weekly":  func(r *rand.Rand, t time.Time) float64 { return 3*office(t) + release(r, t, .03) },
	"growing": func(_ *rand.Rand, t time.Time) float64 {
		return 10 * (1 + office(t)) * math.Pow(1.1, math.Floor(t.Sub(monday).Hours()/168)) // by a tenth a week
	},
	"monthly":             func(_ *rand.Rand, t time.Time) float64 { return only(t.Day() == 1 && t.Hour() == 3, 600) },
	"monthly and steady":  func(_ *rand.Rand, t time.Time) float64 { return 80 + only(t.Day() == 1 && t.Hour() == 3, 600) },
	"once in three weeks": func(r *rand.Rand, t time.Time) float64 { return release(r, t, .01) },
	"now and then":        func(_ *rand.Rand, t time.Time) float64 { return .02 * office(t) },
}

func only(when bool, n float64) float64 {
	if when {
		return n
	}
	return 0
}

// release is one of 30 to 280 uses, that comes by chance in an hour in which there is work.
func release(r *rand.Rand, t time.Time, chance float64) float64 {
	return only(office(t) > .5 && r.Float64() < chance, 30+float64(r.IntN(250)))
}

// plain is a kind of traffic of a seed, or the company, and settings that fit it.
func plain(t testing.TB, kind string, seed uint64, judged int) (*company, Settings) {
	if kind == "company" {
		return newCompany(seed, learning+judged), Settings{}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	c := &company{r: rand.New(rand.NewPCG(seed, 78))}
	c.habits = []*habit{{who: user(kind), key: kind, operation: "Sign", networks: c.networks(2),
		rate: func(c *company, t time.Time) float64 { return kinds[kind](c.r, t.In(berlin)) }}}
	return c, Settings{Zone: []string{"UTC", "Europe/Berlin"}[seed%2]}
}

func kindNames() []string { return append(slices.Sorted(maps.Keys(kinds)), "company") }

// TestPlainWeeks: after weeks of learning, 40 weeks of plain traffic of each kind give rise to no alert.
func TestPlainWeeks(t *testing.T) {
	t.Parallel()
	for _, kind := range kindNames() {
		for seed := range uint64(2) {
			c, settings := plain(t, kind, 11+seed, 20)
			for _, a := range c.alerts(20, settings) {
				t.Errorf("%s, seed %d: %s %s %s %s", kind, 11+seed, a.Time.Format(time.RFC3339), a.Rule, a.Subject, a.Reason)
			}
		}
	}
}

// BenchmarkPlain prints the alerts of 400 plain weeks of each kind, of seeds that no default was chosen by.
//
//	go test ./gateway/watch -run - -bench Plain -benchtime 1x
func BenchmarkPlain(b *testing.B) {
	for b.Loop() {
		const seeds, judged = 20, 20
		all := 0
		for _, kind := range kindNames() {
			said := 0
			for seed := range uint64(seeds) {
				c, settings := plain(b, kind, unseen+seed, judged)
				for _, a := range c.alerts(judged, settings) {
					said++
					b.Logf("%s, seed %d: %s %s %s %s", kind, unseen+seed, a.Time.Format(time.RFC3339), a.Rule, a.Subject, a.Reason)
				}
			}
			b.Logf("%-20s %d alerts in %d plain weeks", kind, said, seeds*judged)
			all += said
		}
		b.ReportMetric(float64(all), "alerts")
		b.ReportMetric(float64(len(kindNames())*seeds*judged), "weeks")
	}
}
