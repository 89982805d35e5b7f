package main

import (
	"testing"
	"time"
)

// Each flag that takes a time takes the same forms.
func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string][3]string{ // ago, ahead, and the end of a date
		"2026-01-31":                {"2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"},
		"2026-01-31T12:00:00Z":      {"2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"},
		"2026-01-31T12:00:00+02:00": {"2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"},
		"7d":                        {"2026-02-25T05:06:07Z", "2026-03-11T05:06:07Z", "2026-02-25T05:06:07Z"},
		"12h":                       {"2026-03-03T17:06:07Z", "2026-03-04T17:06:07Z", "2026-03-03T17:06:07Z"},
		"1h30m":                     {"2026-03-04T03:36:07Z", "2026-03-04T06:36:07Z", "2026-03-04T03:36:07Z"},
	} {
		for i, f := range []momentFlag{{}, {ahead: true}, {end: true}} {
			if err := f.Set(text); err != nil {
				t.Error(text, err)
			} else if got := f.time(now).UTC().Format(time.RFC3339); got != want[i] {
				t.Errorf("%s is %s, want %s", text, got, want[i])
			}
		}
	}
	for _, text := range []string{"", "yesterday", "2026-13-01", "0d", "0h", "-1d", "-2h", "999999d", "9999999h", "7", "7w", "12:00", "2026-01-31T12:00:00"} {
		if f := new(momentFlag); f.Set(text) == nil || f.given() {
			t.Errorf("%q is taken", text)
		}
	}
	if f := new(momentFlag); !f.time(now).IsZero() || f.member() != nil {
		t.Error("a flag that is not given is a time")
	}
}
