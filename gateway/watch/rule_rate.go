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
//   - Peak (3) times the second-busiest hour of these weeks at about this time of day (6 hours before to 6 after it), so
//     that a release that comes on another day each week is known.
//
// Median, MAD and second-busiest hour do not move with one hour that was far off. It is told as soon as the hour's
// count is over, not at its end. A key is silent until it is known for Learn; then each of its classes is compared with
// what the class did, if only for the first time.

// series are the uses of a key in one class, by the hour.
type series struct {
	First  int64    // hour
	Now    int64    // hour that is counted
	Counts []uint32 // by hour, modulo their number
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
		s.Limit = d.allowed(s, d.keySince(u.Key, r.Time))
	}
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
	same := d.scratch[:0]
	kept := s.Now - int64(len(s.Counts)) + 1
	for h := s.Now - hoursOfWeek; h >= max(first, kept); h -= hoursOfWeek {
		for _, at := range []int64{h - 1, h, h + 1} {
			if at >= max(first, kept) {
				same = append(same, float64(*s.at(at)))
			}
		}
	}
	var busiest, second uint32
	for day := s.Now - 24; day >= max(first, kept); day -= 24 {
		for h := max(day-6, first, kept); h <= day+6; h++ {
			n := *s.at(h)
			second = max(second, min(n, busiest))
			busiest = max(busiest, n)
		}
	}
	limit := max(float64(d.settings.Rate.Floor), d.settings.Rate.Peak*float64(second))
	if len(same) > 0 {
		middle, deviation := medianAndMAD(same)
		limit = max(limit, middle+d.settings.Rate.Deviations*max(1.4826*deviation, math.Sqrt(middle), 1))
	}
	d.scratch = same
	return limit
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
