package watch

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

const (
	// MaxHours is how many hours are counted, the current one included.
	MaxHours = 28 * 24
	// maxUsage is how many series are counted; that which had no call for longest goes first.
	maxUsage = 4096
)

// Usage counts calls by key, principal, operation and outcome, by the hour. It is for many goroutines.
type Usage struct {
	mu     sync.Mutex
	series *table[usageKey, counts]
	// Forgotten is how many series had to go.
	forgotten int
}

// usageKey is what calls are counted by. All of it is text of the record.
type usageKey struct{ Key, Principal, Operation, Outcome string }

// counts are the hours that had a call, in their order.
type counts struct{ Hours []hourCount }

type hourCount struct {
	Hour int32
	N    uint32
}

// Series are the calls of one key (none: "") by one principal, of one operation and outcome.
type Series struct {
	Key, Principal, Operation, Outcome string
	Counts                             []int // by the hour, the oldest first
}

// Total is how many calls a series has.
func (s Series) Total() (n int) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Compare orders series by their names.
func (s Series) Compare(o Series) int {
	return cmp.Or(cmp.Compare(s.Key, o.Key), cmp.Compare(s.Principal, o.Principal), cmp.Compare(s.Operation, o.Operation), cmp.Compare(s.Outcome, o.Outcome))
}

// NewUsage makes a Usage without calls.
func NewUsage() *Usage { return NewUsageOf(maxUsage) }

// NewUsageOf is NewUsage for so many series.
func NewUsageOf(series int) *Usage { return &Usage{series: newTable[usageKey, counts](series)} }

// Observe counts a record.
func (u *Usage) Observe(r *audit.Record) {
	if !Looks(r) {
		return
	}
	k := usageKey{r.KeyID, Principal(r.Principal), r.Operation, r.Outcome}
	hour := int32(hourOf(r.Time))
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.series.get(k)
	if c == nil {
		c = new(counts)
		if u.series.put(k, c) {
			u.forgotten++
		}
	}
	c.add(hour)
}

// add counts a call in an hour, which mostly is the last one.
func (c *counts) add(hour int32) {
	i := len(c.Hours) - 1
	for i >= 0 && c.Hours[i].Hour > hour {
		i--
	}
	if i >= 0 && c.Hours[i].Hour == hour {
		c.Hours[i].N++
		return
	}
	if len(c.Hours) == MaxHours {
		if i < 0 {
			return
		}
		c.Hours = slices.Delete(c.Hours, 0, 1)
		i--
	}
	c.Hours = slices.Insert(c.Hours, i+1, hourCount{hour, 1})
}

// Filter says which series are asked for. What is "" is any.
type Filter struct{ Key, Principal, Operation, Outcome string }

func (f Filter) fits(k usageKey) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(f.Key, k.Key) && is(Principal(f.Principal), k.Principal) && is(f.Operation, k.Operation) && is(f.Outcome, k.Outcome)
}

// Of gives the series that had a call in the last hours before and in the hour of now, in the order of their names:
// those that come after a series (Series{}: from the first on), limit at most. more says that there are others, and
// since is where their hours begin.
func (u *Usage) Of(f Filter, now time.Time, last int, after Series, limit int) (found []Series, more bool, since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	to := int32(hourOf(now))
	from := to - int32(last) + 1
	var names []Series
	for k, e := range u.series.at {
		hours := e.Value.(*entry[usageKey, counts]).Value.Hours
		s := Series{Key: k.Key, Principal: k.Principal, Operation: k.Operation, Outcome: k.Outcome}
		if f.fits(k) && s.Compare(after) > 0 && slices.ContainsFunc(hours, func(h hourCount) bool { return h.Hour >= from && h.Hour <= to }) {
			names = append(names, s)
		}
	}
	slices.SortFunc(names, Series.Compare)
	if len(names) > limit {
		names, more = names[:limit], true
	}
	for i, s := range names {
		s.Counts = make([]int, last)
		e := u.series.at[usageKey{s.Key, s.Principal, s.Operation, s.Outcome}] // not by get: who is looked at is not used
		for _, h := range e.Value.(*entry[usageKey, counts]).Value.Hours {
			if h.Hour >= from && h.Hour <= to {
				s.Counts[h.Hour-from] = int(h.N)
			}
		}
		names[i] = s
	}
	return names, more, time.Unix(3600*int64(from), 0).UTC()
}

// Forgotten is how many series had to go for others since the start.
func (u *Usage) Forgotten() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.forgotten
}
