package watch

import "github.com/hsmgate/hsmgate/gateway/audit"

// The rule denials: Count (20) calls of a principal were denied within Within (10m).
//
// It is robust since a policy decides the same each time: a pipeline that is not allowed something meets that once a run, with
// some retries, and not twenty times. It learns nothing, so it speaks from the first day. Calls without a good credential
// are not in the log, and so not here: hsmgate_rest_authentication_failures_total and its like have them.
func (d *Detector) denials(r *audit.Record, who string, c *caller) {
	if r.Outcome != "denied" || d.settings.Denials.Off {
		return
	}
	var all bool
	if c.Denied, all = within(c.Denied, r.Time.UnixMilli(), d.settings.Denials.Within.Milliseconds(), d.settings.Denials.Count); all {
		d.say(r, Denials, who, d.settings.Denials.Count, "%d calls of %s were denied within %s, the last one %s", d.settings.Denials.Count, who, d.settings.Denials.Within, r.Operation)
	}
}

// within adds a time to those that are not older than the window, and says whether these are count; then it begins anew.
func within(times []int64, now, window int64, count int) ([]int64, bool) {
	old := 0
	for old < len(times) && (times[old] < now-window || times[old] > now+window) {
		old++
	}
	times = append(times[:copy(times, times[old:])], now)
	if len(times) < count {
		return times, false
	}
	return times[:0], true
}
