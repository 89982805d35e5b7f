package watch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Made traffic: weeks of a company whose pipelines, services and people use keys, by day and night, on weekdays and
// weekends, with releases, retries, mistakes and a public holiday, and what somebody does to it (anomalies_test.go). A
// seed gives the same traffic again.

// monday is when the traffic begins, 00:00 UTC.
var monday = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// habit is a principal with a key: what it does in each hour, on average.
type habit struct {
	who, key, operation string
	networks            []string // the first two octets and a half, of which addresses are made
	rate                func(c *company, t time.Time) float64
	burst               bool // releases are made by it
}

// company makes the traffic.
type company struct {
	r       *rand.Rand
	keys    []string
	habits  []*habit
	holiday int             // day on which nobody works
	release map[int][2]int  // hour -> index of the habit, and how many signatures
	extra   []*audit.Record // what is done to it, in order
	seq     uint64
}

func newCompany(seed uint64, weeksOfIt int) *company {
	c := &company{r: rand.New(rand.NewPCG(seed, 77)), release: map[int][2]int{}}
	c.holiday = 7*c.r.IntN(weeksOfIt) + 3 // a Thursday
	for i := range 80 {
		c.keys = append(c.keys, fmt.Sprintf("%08x-0000-4000-8000-%012d", c.r.Uint32(), i))
	}
	c.pipelines()
	c.services()
	c.people()
	for w := range weeksOfIt {
		for i, h := range c.habits {
			for range 2 {
				if h.burst && c.r.Float64() < .8 { // on any working day, in working hours
					c.release[(7*w+c.r.IntN(5))*24+9+c.r.IntN(8)] = [2]int{i, 30 + c.r.IntN(250)}
				}
			}
		}
	}
	return c
}

func user(name string) string { return "arn:aws:iam::000000000000:user/" + name }

// networks are made anew for each principal.
func (c *company) networks(n int) (all []string) {
	for range n {
		all = append(all, fmt.Sprintf("%d.%d.%d", 1+c.r.IntN(220), c.r.IntN(256), c.r.IntN(256)))
	}
	return all
}

// pipelines sign what is pushed, by day, and some of them builds of the night. Half of them run in a cloud, from anywhere.
func (c *company) pipelines() {
	for i := range 10 {
		who, networks := fmt.Sprintf("arn:aws:sts::000000000000:assumed-role/ci-%d/", i), c.networks(1)
		if i%2 == 0 {
			networks = c.networks(60)
		}
		pushes, nightly := 1+c.r.Float64()*12, c.r.Float64()*25
		c.habits = append(c.habits, &habit{who: who, key: c.keys[i], operation: "Sign", networks: networks, burst: true,
			rate: func(c *company, t time.Time) float64 {
				n := pushes * c.working(t)
				if i%3 == 0 && t.Hour() == 2 {
					n += nightly
				}
				return n
			}})
	}
	once := c.networks(1)
	c.habits = append(c.habits, &habit{who: user("monthly"), key: c.keys[10], operation: "Sign", networks: once,
		rate: func(_ *company, t time.Time) float64 {
			if t.Day() == 1 && t.Hour() == 3 {
				return 4
			}
			return 0
		}})
	for _, key := range c.keys { // the job that publishes all public keys
		c.habits = append(c.habits, &habit{who: user("mirror"), key: key, operation: "GetPublicKey", networks: once,
			rate: func(_ *company, t time.Time) float64 {
				if t.Hour() == 4 {
					return 3
				}
				return 0
			}})
	}
}

// services decrypt around the clock, more by day and less at weekends, a little more each week.
func (c *company) services() {
	for i, operation := range []string{"Decrypt", "GenerateDataKey", "GenerateMac"} {
		base, networks := 20+c.r.Float64()*80, c.networks(2)
		c.habits = append(c.habits, &habit{who: user(fmt.Sprintf("service-%d", i)), key: c.keys[11+i], operation: operation, networks: networks,
			rate: func(_ *company, t time.Time) float64 {
				day := 1 + .6*math.Sin(float64(t.Hour()-8)/24*2*math.Pi)
				if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
					day *= .6
				}
				return base * day * (1 + .02*t.Sub(monday).Hours()/168)
			}})
	}
}

// people look at keys, sign and decrypt by hand, from the office and from home, and now and then in the evening.
func (c *company) people() {
	for i := range 8 {
		who, networks := user(fmt.Sprintf("person-%d", i)), append(c.networks(1), "10.1.2")
		for j := range 3 {
			key, rate := c.keys[20+6*i+j], .1+c.r.Float64()*1.5
			for _, operation := range []string{"Sign", "DescribeKey", "GetPublicKey"} {
				c.habits = append(c.habits, &habit{who: who, key: key, operation: operation, networks: networks,
					rate: func(c *company, t time.Time) float64 {
						if h := t.Hour(); h >= 18 && h < 22 && c.working(t.Add(-6*time.Hour)) > 0 {
							return rate * .03
						}
						return rate * c.working(t)
					}})
			}
		}
	}
}

// working is how much is worked in an hour, 1 at most.
func (c *company) working(t time.Time) float64 {
	if int(t.Sub(monday).Hours())/24 == c.holiday {
		return 0
	}
	return office(t)
}

// office is how much is worked in an hour of a week without a holiday.
func office(t time.Time) float64 {
	if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		return 0
	}
	return []float64{7: .1, 8: .5, 9: .9, 10: 1, 11: 1, 12: .5, 13: .7, 14: 1, 15: 1, 16: .8, 17: .5, 18: .2, 23: 0}[t.Hour()]
}

// run gives the records of some weeks, in order.
func (c *company) run(weeksOfIt int, take func(*audit.Record)) {
	for hour := range weeksOfIt * 168 {
		at := monday.Add(time.Duration(hour) * time.Hour)
		var all []*audit.Record
		for i, h := range c.habits {
			n := c.poisson(h.rate(c, at))
			if rel := c.release[hour]; rel[1] > 0 && rel[0] == i {
				n += rel[1]
			}
			for range n {
				all = append(all, c.calls(h, at)...)
			}
		}
		for len(c.extra) > 0 && c.extra[0].Time.Before(at.Add(time.Hour)) {
			all, c.extra = append(all, c.extra[0]), c.extra[1:]
		}
		slices.SortStableFunc(all, func(a, b *audit.Record) int { return a.Time.Compare(b.Time) })
		for _, r := range all {
			c.seq++
			r.Seq = c.seq
			if c.r.Float64() < .01 { // a slow call is recorded after faster ones
				r.Time = r.Time.Add(-2 * time.Second)
			}
			take(r)
		}
	}
}

// calls are one call of a habit in an hour, with its retries where something goes wrong.
func (c *company) calls(h *habit, hour time.Time) []*audit.Record {
	one := c.record(h, hour.Add(time.Duration(c.r.IntN(3600_000))*time.Millisecond))
	switch p := c.r.Float64(); {
	case p < .002: // a pipeline that is not allowed something, and tries again
		return retried(one, "denied", "AccessDeniedException", 1+c.r.IntN(5))
	case p < .004 && h.operation == "Decrypt": // a ciphertext of another place
		return retried(one, "invalid", "InvalidCiphertextException", 1+c.r.IntN(4))
	case p < .005:
		return append(retried(one, "failed", "ThrottlingException", 1+c.r.IntN(3)), one)
	}
	return []*audit.Record{one}
}

func retried(r *audit.Record, outcome, code string, times int) (all []*audit.Record) {
	for i := range times {
		one := *r
		one.Outcome, one.ErrorCode, one.Time = outcome, code, r.Time.Add(time.Duration(i*i)*time.Second)
		all = append(all, &one)
	}
	return all
}

func (c *company) record(h *habit, at time.Time) *audit.Record {
	who := h.who
	if who[len(who)-1] == '/' {
		who += fmt.Sprintf("run-%d", c.r.IntN(1_000_000))
	}
	return &audit.Record{Time: at, Origin: "one", Face: "rest", Principal: who, KeyID: h.key, KeyARN: "arn:aws:kms:us-east-1:000000000000:key/" + h.key,
		Resource: h.key, Operation: h.operation, Outcome: "allowed", SourceAddress: fmt.Sprintf("%s.%d", h.networks[c.r.IntN(len(h.networks))], c.r.IntN(256))}
}

// poisson draws how many calls come in an hour (Knuth; in parts, so that the exponential stays above 0).
func (c *company) poisson(mean float64) (n int) {
	for ; mean > 0; mean -= 30 {
		for limit, p := math.Exp(-min(mean, 30)), c.r.Float64(); p > limit; p *= c.r.Float64() {
			n++
		}
	}
	return n
}
