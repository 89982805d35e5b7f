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
// releases the largest says little about the next: the floor is Peak times Peak as high (450) for a key that was used on
// Days (8) days at most, and for one that was above it at about this time of day on two days or more within Forget, but
// at any time on fewer than Days in six weeks. A key that is used on fewer than Days in six weeks has such days seldom, and they are
// not forgotten. Hours that alarmed, and those within Learn after them, do not count: neither an alert nor one hour of
// a little more makes a quiet key one that has releases.
//
// It is told as soon as the hour's count is over, not at its end. A key is silent until it is known for Learn; then each
// of its classes is compared with what the class did, if only for the first time.

// series are the uses of a key in one class, by the hour.
type series struct {
	First  int64    // hour
	Now    int64    // hour that is counted
	Counts []uint32 // by hour, modulo their number
	Loud   []int64  // the last hours of bursts, each of another day
	Limit  float64  // what is allowed in the hour Now; 0: not worked out yet
	Told   int64    // last hour that alarmed
}

func newSeries(hour int64) *series {
	return &series{First: hour, Now: hour, Counts: make([]uint32, weeks*hoursOfWeek)}
}

const hoursOfWeek = 7 * 24

// rate counts a use and tells when there are too many.
func (d *Detector) rate(r *audit.Record, u use, k *life) {
	hour := hourOf(r.Time)
	s := d.series.get(u)
	if s == nil || hour < s.Now-hoursOfWeek { // or the clock was wrong: what is ahead would never be compared again
		if s != nil {
			d.series.remove(u)
			*k = newLife(hour) // all of it is learned anew
		}
		s = newSeries(hour)
		d.series.put(u, s)
	}
	if hour < s.Now { // a call that took its time
		*s.at(hour)++
		return
	}
	s.advance(hour, &d.settings)
	n := s.at(hour)
	*n++
	if d.settings.Rate.Off || s.Told == hour || int(*n) <= d.settings.Rate.Floor {
		return
	}
	if s.Limit == 0 {
		s.Limit = d.allowed(s, k)
	}
	if float64(*n) <= s.Limit {
		return
	}
	s.Told = hour
	d.say(r, Rate, string(u.Class)+" "+u.Key, int(*n), "the key was used to %s more than %.0f times this hour, the most that its last weeks make usual at this time", u.Class, math.Floor(s.Limit))
}

// at is the count of an hour that is kept.
func (s *series) at(hour int64) *uint32 { return &s.Counts[hour%int64(len(s.Counts))] }

// advance begins an hour.
func (s *series) advance(hour int64, set *Settings) {
	if hour == s.Now {
		return
	}
	if int(*s.at(s.Now)) > set.Rate.Floor && s.Now-s.Told >= hours(set.Learn) {
		s.burst(max(set.Rate.Days, 2))
	}
	for h := max(s.Now+1, hour-int64(len(s.Counts))+1); h <= hour; h++ {
		*s.at(h) = 0
	}
	s.Now, s.Limit = hour, 0
}

// allowed is how many uses the hour may have.
func (d *Detector) allowed(s *series, k *life) float64 {
	if s.Now-k.First < hours(d.settings.Learn) {
		return math.Inf(1)
	}
	first := max(k.First, s.Now-int64(len(s.Counts))+1)
	days, peak := s.days(first), d.settings.Rate.Peak
	limit := max(d.floor(s, k, days.used), peak*days.second, peak/2*days.busiest)
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
	busiest, second float64 // the busiest hours, at about this time, of two of them
}

func (s *series) days(first int64) (k days) {
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
		k.second = max(k.second, min(float64(most), k.busiest))
		k.busiest = max(k.busiest, float64(most))
	}
	return k
}

// floor is how many uses never alarm, of a key that was used on so many of these days.
func (d *Detector) floor(s *series, k *life, used int) float64 {
	r, forget := &d.settings.Rate, hours(d.settings.Forget)
	if used < r.Days { // who is seldom used has its bursts seldom
		forget = math.MaxInt64
	}
	floor := float64(r.Floor)
	if k.Days <= r.Days || s.bursts(forget, 6) >= 2 && s.bursts(weeks*hoursOfWeek, 12) < r.Days {
		floor *= r.Peak * r.Peak
	}
	return floor
}

// burst notes the hour that ends, and keeps so many; what goes on over midnight is of one day.
func (s *series) burst(keep int) {
	n := len(s.Loud)
	if n > 0 && (s.Now/24 == s.Loud[n-1]/24 || s.Now-s.Loud[n-1] < 12) {
		return
	}
	s.Loud = append(s.Loud[max(n+1-keep, 0):], s.Now)
}

// bursts counts those that are not older than so many hours, and so many apart from this time of day at most.
func (s *series) bursts(within, around int64) (n int) {
	for _, hour := range s.Loud {
		if apart := (s.Now - hour) % 24; s.Now-hour <= within && (apart <= around || apart >= 24-around) {
			n++
		}
	}
	return n
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
