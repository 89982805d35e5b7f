package watch

import (
	"iter"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule unusual-hour: a principal calls, whatever the outcome, at an hour at which it did not call within Forget, nor
// within Around (3) hours before and after that, on a day of that kind: weekdays, Monday to Friday, and weekends are
// apart.
//
// It is robust since it speaks only where there is a rhythm: the principal is known for Learn, and called in Hours (40)
// hours of such days, or in as many of weekdays and never at a weekend (or the other way round). Who works around the
// clock has no hour that is unusual, and one who called in a few hours only is silent. Who was away for longer than Forget is
// compared with the hours from before. One time is no habit: what alarmed is usual from the third time on, and what is
// less than 12 hours apart is one time.
func (d *Detector) hour(r *audit.Record, who string, c *caller) {
	at := hourOf(r.Time)
	if at == c.Last {
		return
	}
	c.Last = at
	kind, cell := d.cell(r.Time)
	if !d.settings.Hour.Off && d.rhythm(c, kind) && !d.usual(r.Time, c) && d.knownFor(c.First, r.Time) && !d.odd(r, who, c) {
		return
	}
	c.Hours[kind]++
	c.Cells[cell] = uint16(at / 24)
}

// odd tells of a call at an unusual hour, and says whether it was the second time, which is learned.
func (d *Detector) odd(r *audit.Record, who string, c *caller) (again bool) {
	at := hourOf(r.Time)
	kind, cell := d.cell(r.Time)
	for near := range d.around(r.Time) {
		last := int64(c.Odd[near])
		if last > at-12 && last < at+12 { // a clock that was set back is no reason to be silent
			return false
		}
		again = again || last != 0 && d.fresh(last, r.Time)
	}
	c.Odd[cell] = uint32(at)
	d.say(r, UnusualHour, who, 1, "%s calls on a %s at about %s (%s), when it never does", who, []string{"weekday", "weekend"}[kind], r.Time.In(d.zone).Format("15:04"), d.zone)
	return again
}

// rhythm says whether enough is known of a kind of day.
func (d *Detector) rhythm(c *caller, kind int) bool {
	enough := uint32(d.settings.Hour.Hours)
	return c.Hours[kind] >= enough || c.Hours[kind] == 0 && c.Hours[1-kind] >= enough
}

// usual says whether there were calls at about this time.
func (d *Detector) usual(t time.Time, c *caller) bool {
	for near := range d.around(t) {
		if c.Cells[near] != 0 && d.fresh(24*int64(c.Cells[near]), t) {
			return true
		}
	}
	return false
}

// around gives the cells of the hours that are about the same as a time.
func (d *Detector) around(t time.Time) iter.Seq[int] {
	return func(yield func(int) bool) {
		for h := -d.settings.Hour.Around; h <= d.settings.Hour.Around; h++ {
			if _, cell := d.cell(t.Add(time.Duration(h) * time.Hour)); !yield(cell) {
				return
			}
		}
	}
}

// cell says where a time stands in the week: on a weekday (0) or at a weekend (1), and in which of the 48 hours.
func (d *Detector) cell(t time.Time) (kind, cell int) {
	t = t.In(d.zone)
	if day := t.Weekday(); day == time.Saturday || day == time.Sunday {
		kind = 1
	}
	return kind, 24*kind + t.Hour()
}
