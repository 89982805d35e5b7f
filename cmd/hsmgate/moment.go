package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// How help says what a moment may be, of the past and of the future.
const (
	momentAgo   = "2026-01-31, 2026-01-31T12:00:00Z, or 7d, 12h or 30m ago"
	sinceHelp   = "from then on: " + momentAgo
	untilHelp   = "up to then, in the same forms; of a date, its end"
	momentAhead = "2030-01-31, 2030-01-31T12:00:00Z, or 7d, 12h or 30m from now"
)

// momentFlag is a time, a date (UTC) or how far away it is.
type momentFlag struct {
	ahead bool // how far away means from now on
	end   bool // a date means its end

	text string
	at   time.Time
	away time.Duration // in place of at, if not 0
}

var daysForm = regexp.MustCompile(`^(\d{1,5})d$`) // less than 292 years, which a duration holds

// Set reads the value of the flag.
func (f *momentFlag) Set(text string) error {
	at, away := time.Time{}, time.Duration(0)
	if days := daysForm.FindStringSubmatch(text); days != nil {
		n, _ := strconv.Atoi(days[1]) // five digits
		away = time.Duration(n) * 24 * time.Hour
	} else if d, err := time.ParseDuration(text); err == nil {
		away = d
	} else if at, err = time.Parse(time.DateOnly, text); err == nil {
		if f.end {
			at = at.AddDate(0, 0, 1)
		}
	} else if at, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("%s would be right", f.forms())
	}
	if away < 0 || away == 0 && at.IsZero() {
		return fmt.Errorf("%s would be right", f.forms())
	}
	f.text, f.at, f.away = text, at, away
	return nil
}

func (f *momentFlag) forms() string {
	if f.ahead {
		return momentAhead
	}
	return momentAgo
}

// String and Type are for help.
func (f *momentFlag) String() string { return f.text }

// Type is what stands for the value.
func (f *momentFlag) Type() string { return "time" }

func (f *momentFlag) given() bool { return f.text != "" }

// time is the moment, seen from now; zero if none was given.
func (f *momentFlag) time(now time.Time) time.Time {
	switch {
	case f.away == 0:
		return f.at
	case f.ahead:
		return now.Add(f.away)
	}
	return now.Add(-f.away)
}

// member is the moment for a request; nil if none was given.
func (f *momentFlag) member() *api.Time {
	if !f.given() {
		return nil
	}
	return api.NewTime(f.time(time.Now()))
}
