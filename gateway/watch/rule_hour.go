package watch

import (
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule unusual-hour: a principal calls, whatever the outcome, at an hour at which it did not call within Forget, nor
// within Around (3) hours before and after that, on a day of that kind: weekdays, Monday to Friday, and weekends are
// apart.
//
// It is robust since it speaks only where there is a rhythm: the principal is known for Learn, and called in Hours (40)
// hours of such days, or in as many of weekdays and never at a weekend (or the other way round). Who works around the
// clock has no hour that is unusual, and one who called in a few hours only is silent.
func (d *Detector) hour(r *audit.Record, who string, c *caller) {
	at := hourOf(r.Time)
	if at == c.Last {
		return
	}
	kind, cell := d.cell(r.Time)
	if d.rhythm(c, kind) && !d.usual(r.Time, c) && d.knownFor(c.First, r.Time) && !d.settings.Hour.Off {
		d.say(r, UnusualHour, who, 1, "%s calls on a %s at about %s (%s), when it never does", who, []string{"weekday", "weekend"}[kind], r.Time.In(d.zone).Format("15:04"), d.zone)
	}
	c.Last = at
	c.Hours[kind]++
	c.Cells[cell] = uint16(at / 24)
}

// rhythm says whether enough is known of a kind of day.
func (d *Detector) rhythm(c *caller, kind int) bool {
	enough := uint32(d.settings.Hour.Hours)
	return c.Hours[kind] >= enough || c.Hours[kind] == 0 && c.Hours[1-kind] >= enough
}

// usual says whether there were calls at about this time.
func (d *Detector) usual(t time.Time, c *caller) bool {
	for h := -d.settings.Hour.Around; h <= d.settings.Hour.Around; h++ {
		_, cell := d.cell(t.Add(time.Duration(h) * time.Hour))
		if c.Cells[cell] != 0 && d.fresh(24*int64(c.Cells[cell]), t) {
			return true
		}
	}
	return false
}

// cell says where a time stands in the week: on a weekday (0) or at a weekend (1), and in which of the 48 hours.
func (d *Detector) cell(t time.Time) (kind, cell int) {
	t = t.In(d.zone)
	if day := t.Weekday(); day == time.Saturday || day == time.Sunday {
		kind = 1
	}
	return kind, 24*kind + t.Hour()
}
