package watch

import (
	"math"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule rate: in this hour a key was used, in one class of operations (to sign, to encrypt, to decrypt), more often
// than all of these allow:
//
//   - Floor (50) uses, so that quiet keys do not alarm at three;
//   - the median of the same hour of the week, and of the hour before and after it, in the last six weeks, and
//     Deviations (8) deviations more. The deviation is 1.4826 times the median absolute deviation (MAD), which is the
//     standard deviation of a normal distribution, or the root of the median if that is more, which is that of calls
//     that come by chance;
//   - Peak (3) times the busiest hour of the second-busiest of these days, or half as many times that of the busiest, at
//     about this time of day (6 hours before to 6 after it), so that a release that comes on another day each week is
//     known, and a batch of once a month.
//
// Median, MAD and second-busiest day do not move with one hour that was far off, nor with a night of them. But of few
// releases the largest says little about the next: where the key was used on fewer than Days (8) of these days, or was
// above Floor within Forget, but on fewer than Days of these, the floor is Peak times Peak as high (450).
//
// It is told as soon as the hour's count is over, not at its end. A key is silent until it is known for Learn; then each
// of its classes is compared with what the class did, if only for the first time.

// series are the uses of a key in one class, by the hour.
type series struct {
	First  int64    // hour
	Now    int64    // hour that is counted
	Counts []uint32 // by hour, modulo their number
	Loud   int64    // last hour with more than Floor uses
	Limit  float64  // what is allowed in the hour Now; 0: not worked out yet
	Over   bool     // it was told
}

func newSeries(hour int64) *series {
	return &series{First: hour, Now: hour, Counts: make([]uint32, weeks*hoursOfWeek)}
}

const hoursOfWeek = 7 * 24

// rate counts a use and tells when there are too many.
func (d *Detector) rate(r *audit.Record, u use) {
	hour := hourOf(r.Time)
	s := d.series.get(u)
	if s == nil || hour < s.Now-hoursOfWeek { // or the clock was wrong: what is ahead would never be compared again
		if s != nil {
			d.series.remove(u)
			d.keys.remove(u.Key) // all of it is learned anew
		}
		s = newSeries(hour)
		d.series.put(u, s)
	}
	if hour < s.Now { // a call that took its time
		*s.at(hour)++
		return
	}
	s.advance(hour)
	n := s.at(hour)
	*n++
	if d.settings.Rate.Off || s.Over || int(*n) <= d.settings.Rate.Floor {
		return
	}
	if s.Limit == 0 {
		s.Limit = d.allowed(s, d.key(u.Key, r.Time).First)
	}
	s.Loud = hour
	if float64(*n) <= s.Limit {
		return
	}
	s.Over = true
	d.say(r, Rate, string(u.Class)+" "+u.Key, int(*n), "the key was used to %s more than %.0f times this hour, the most that its last weeks make usual at this time", u.Class, math.Floor(s.Limit))
}

// at is the count of an hour that is kept.
func (s *series) at(hour int64) *uint32 { return &s.Counts[hour%int64(len(s.Counts))] }

// advance begins an hour.
func (s *series) advance(hour int64) {
	if hour == s.Now {
		return
	}
	for h := max(s.Now+1, hour-int64(len(s.Counts))+1); h <= hour; h++ {
		*s.at(h) = 0
	}
	s.Now, s.Limit, s.Over = hour, 0, false
}

// allowed is how many uses the hour may have, of a key that was first used in an hour.
func (d *Detector) allowed(s *series, first int64) float64 {
	if s.Now-first < hours(d.settings.Learn) {
		return math.Inf(1)
	}
	first = max(first, s.Now-int64(len(s.Counts))+1)
	limit := s.days(first, d.settings.Rate.Floor).allow(&d.settings.Rate, s.Now-s.Loud <= hours(d.settings.Forget))
	same := d.scratch[:0]
	for h := s.Now - hoursOfWeek; h >= first; h -= hoursOfWeek {
		for _, at := range []int64{h - 1, h, h + 1} {
			if at >= first {
				same = append(same, float64(*s.at(at)))
			}
		}
	}
	if len(same) > 0 {
		middle, deviation := medianAndMAD(same)
		limit = max(limit, middle+d.settings.Rate.Deviations*max(1.4826*deviation, math.Sqrt(middle), 1))
	}
	d.scratch = same
	return limit
}

// days are those before, of which each is the 24 hours around the time of day that it is now.
type days struct {
	used            int     // on so many was there any use
	busy            int     // on so many was an hour above Floor
	busiest, second float64 // the busiest hours, at about this time, of two of them
}

func (s *series) days(first int64, floor int) (k days) {
	for day := s.Now - 24; day >= first; day -= 24 {
		var peak, most uint32
		for h := max(day-12, first); h < day+12; h++ {
			n := *s.at(h)
			peak = max(peak, n)
			if h >= day-6 && h <= day+6 {
				most = max(most, n)
			}
		}
		if peak > 0 {
			k.used++
		}
		if int(peak) > floor {
			k.busy++
		}
		k.second = max(k.second, min(float64(most), k.busiest))
		k.busiest = max(k.busiest, float64(most))
	}
	return k
}

// allow is how many uses an hour may have by what the days had. A loud key was above Floor within Forget.
func (k days) allow(r *RateSettings, loud bool) float64 {
	floor := float64(r.Floor)
	if k.used < r.Days || (loud || k.busy > 0) && k.busy < r.Days {
		floor *= r.Peak * r.Peak
	}
	return max(floor, r.Peak*k.second, r.Peak/2*k.busiest)
}

// medianAndMAD works on the values themselves.
func medianAndMAD(v []float64) (middle, deviation float64) {
	middle = median(v)
	for i := range v {
		v[i] = math.Abs(v[i] - middle)
	}
	return middle, median(v)
}

func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
