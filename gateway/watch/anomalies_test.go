package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// anomaly is something that was done to the traffic, and is to be found by a rule.
type anomaly struct {
	rule      Rule
	who, key  string
	from, to  time.Time
	found     bool
	described string
}

// related says whether an alert is about what was done, whatever the rule.
func (n *anomaly) related(a *Alert) bool {
	return a.Time.After(n.from.Add(-5*time.Second)) && a.Time.Before(n.to.Add(time.Hour)) && (Principal(a.Principal) == Principal(n.who) || n.rule == Rate && a.KeyID == n.key)
}

const learning = 5 // weeks before the one that is judged

// dormant is what any rule may find; marks are all that is done.
const dormant Rule = "dormant"

var marks = append(slices.Clone(Rules), dormant)

// done does each kind of thing to the company, each times, at random times of the week after those of learning.
func (c *company) done(each int) (all []*anomaly) {
	kinds := map[Rule]func(at time.Time) *anomaly{Rate: c.spike, FirstUse: c.stranger, NewAddress: c.moved, UnusualHour: c.nightOwl, Denials: c.rattler, KeySweep: c.sweeper, DecryptFailures: c.oracle, dormant: c.sleeper}
	for _, rule := range marks {
		for i := range each {
			at := monday.Add(learning*168*time.Hour + time.Duration(i*168/each)*time.Hour + time.Duration(c.r.IntN(168*3600/each))*time.Second)
			if at = at.Truncate(time.Hour).Add(time.Duration(c.r.IntN(1500)) * time.Second); rule == UnusualHour { // 03:xx
				at = at.Truncate(24 * time.Hour).Add(time.Duration(11000+c.r.IntN(1500)) * time.Second)
			}
			n := kinds[rule](at)
			n.rule, n.from = rule, at
			all = append(all, n)
		}
	}
	slices.SortStableFunc(c.extra, func(a, b *audit.Record) int { return a.Time.Compare(b.Time) })
	return all
}

// does adds calls of a habit, change of them by another name, key, address or outcome.
func (c *company) does(h *habit, at time.Time, n int, apart time.Duration, change func(i int, r *audit.Record)) *anomaly {
	for i := range n {
		r := c.record(h, at.Add(time.Duration(i)*apart))
		if change != nil {
			change(i, r)
		}
		c.extra = append(c.extra, r)
	}
	return &anomaly{who: h.who, key: h.key, to: at.Add(time.Duration(n) * apart)}
}

func (c *company) any(fits func(*habit) bool) *habit {
	for {
		if h := c.habits[c.r.IntN(len(c.habits))]; fits(h) {
			return h
		}
	}
}

func uses(h *habit) bool { return classes[h.operation] != "" }

// spike: three to twenty times what the key has on average in its busiest hour at about that time of day, or in its
// largest release then, and 60 at least, in half an hour.
func (c *company) spike(at time.Time) *anomaly {
	h := c.any(func(h *habit) bool { return uses(h) && h.who != user("monthly") })
	busiest := 0.0
	for o := -3; o <= 3; o++ {
		for day := range 7 {
			busiest = max(busiest, h.rate(c, at.Add(time.Duration(o-24*day)*time.Hour)))
		}
	}
	for hour, rel := range c.release {
		if apart := (hour%24 - at.Hour() + 36) % 24; c.habits[rel[0]] == h && apart >= 12-3 && apart <= 12+3 {
			busiest = max(busiest, float64(rel[1]))
		}
	}
	factor := 3 + c.r.Float64()*17
	n := max(60, int(factor*busiest))
	a := c.does(h, at, n, 30*time.Minute/time.Duration(n), nil)
	a.described = fmt.Sprintf("%d uses, %.1f times the busiest hour of %.0f", n, factor, busiest)
	return a
}

// stranger: another principal, of which half the pipelines', uses a key once.
func (c *company) stranger(at time.Time) *anomaly {
	h, victim := c.any(uses), c.any(uses)
	for h.who == victim.who || slices.ContainsFunc(c.habits, func(o *habit) bool { return o.who == h.who && o.key == victim.key }) {
		h = c.any(uses)
	}
	a := c.does(h, at, 1, time.Second, func(_ int, r *audit.Record) { r.KeyID = victim.key })
	a.key = victim.key
	return a
}

// moved: somebody with few networks calls from another one.
func (c *company) moved(at time.Time) *anomaly {
	h, network := c.any(func(h *habit) bool { return len(h.networks) < 4 }), c.networks(1)[0]
	return c.does(h, at, 1, time.Second, func(_ int, r *audit.Record) { r.SourceAddress = network + ".9" })
}

// nightOwl: somebody who works by day uses his key at night.
func (c *company) nightOwl(at time.Time) *anomaly {
	h := c.any(func(h *habit) bool {
		for o := range 8 { // it does nothing from 22 to 6
			if h.rate(c, monday.Add(time.Duration(46+o)*time.Hour)) > 0 {
				return false
			}
		}
		return uses(h) && h.rate(c, monday.Add(34*time.Hour)) > 0
	})
	return c.does(h, at, 1, time.Second, nil)
}

// rattler: 25 to 100 calls that are denied, in five minutes.
func (c *company) rattler(at time.Time) *anomaly {
	n := 25 + c.r.IntN(75)
	return c.does(c.any(uses), at, n, 5*time.Minute/time.Duration(n), func(i int, r *audit.Record) {
		r.Outcome, r.ErrorCode, r.KeyID = "denied", "AccessDeniedException", c.keys[i%len(c.keys)]
	})
}

// sweeper: the public keys of 25 to 60 keys, in half an hour.
func (c *company) sweeper(at time.Time) *anomaly {
	n := 25 + c.r.IntN(35)
	h, keys := c.any(func(h *habit) bool { return h.who != user("mirror") }), c.r.Perm(len(c.keys))
	return c.does(h, at, n, 30*time.Minute/time.Duration(n), func(i int, r *audit.Record) { r.Operation, r.KeyID = "GetPublicKey", c.keys[keys[i]] })
}

// oracle: 12 to 100 ciphertexts that do not decrypt, a few seconds apart.
func (c *company) oracle(at time.Time) *anomaly {
	return c.does(c.any(uses), at, 12+c.r.IntN(90), 7*time.Second, func(_ int, r *audit.Record) {
		r.Operation, r.Outcome, r.ErrorCode = "Decrypt", "invalid", "InvalidCiphertextException"
	})
}

// sleeper: a credential that was away for 91 to 300 days, after three months of work, lists keys and then uses its own 1 to
// 400 times; half of them from another network, and half of those who did so before from 60 networks.
func (c *company) sleeper(at time.Time) *anomaly {
	name := fmt.Sprintf("%08x", c.r.Uint32())
	h := &habit{who: user("sleeper-" + name), key: name + "-sleeper", operation: "Sign", networks: c.networks([]int{1, 60}[c.r.IntN(2)])}
	last := at.Truncate(24*time.Hour).AddDate(0, 0, -91-c.r.IntN(210))
	for back := range 90 {
		if morning := last.AddDate(0, 0, -back).Add(9 * time.Hour); office(morning) > 0 {
			c.does(h, morning, 8, time.Hour, nil)
		}
	}
	if c.r.IntN(2) == 0 {
		h.networks = c.networks(1)
	}
	n := 1 + c.r.IntN(400)
	c.does(h, at, 1, 0, func(_ int, r *audit.Record) { r.Operation, r.KeyID = "ListKeys", "" })
	a := c.does(h, at.Add(10*time.Minute), n, 30*time.Minute/time.Duration(n), nil)
	a.described = fmt.Sprintf("%d uses", n)
	return a
}

// score is how well a rule did.
type score struct{ Found, Done, Right, Wrong int }

func (s score) precision() float64 { return float64(s.Right) / float64(s.Right+s.Wrong) }
func (s score) recall() float64    { return float64(s.Found) / float64(max(s.Done, 1)) }

// alerts are those of so many weeks, after those of learning.
func (c *company) alerts(judged int, settings Settings) (all []Alert) {
	d, start := New(settings), monday.Add(learning*168*time.Hour)
	c.run(learning+judged, func(r *audit.Record) {
		for _, a := range d.Observe(r) {
			if !a.Time.Before(start) {
				all = append(all, a)
			}
		}
	})
	return all
}

// judge runs a company through the week after those of learning, and adds to the scores.
func judge(t testing.TB, seed uint64, each int, settings Settings, scores map[Rule]*score) {
	c := newCompany(seed, learning+1)
	all := c.done(each)
	for _, a := range c.alerts(1, settings) {
		right := false
		for _, n := range all {
			if n.related(&a) {
				right = true
				n.found = n.found || n.rule == a.Rule || n.rule == dormant
			}
		}
		if right {
			scores[a.Rule].Right++
		} else {
			scores[a.Rule].Wrong++
			t.Logf("seed %d: nothing was done: %s %s %s %s", seed, a.Time.Format(time.RFC3339), a.Rule, a.Subject, a.Reason)
		}
	}
	for _, n := range all {
		scores[n.rule].Done++
		if n.found {
			scores[n.rule].Found++
		} else if testing.Verbose() {
			t.Logf("seed %d: not found: %s %s %s %s %s", seed, n.from.Format("Mon 15:04"), n.rule, strings.TrimPrefix(n.who, "arn:aws:"), n.key[:8], n.described)
		}
	}
}
