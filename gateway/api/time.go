package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Time travels as a JSON number: seconds since 1970, to the millisecond, the
// only form that every AWS SDK reads.
type Time struct{ time.Time }

// NewTime returns t cut to what the wire can carry, or nil for the zero time.
func NewTime(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t.Truncate(time.Millisecond)}
}

// MarshalJSON writes seconds, with a fraction only where there is one.
func (t Time) MarshalJSON() ([]byte, error) {
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(nil, ms/1000, 10), nil
	}
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64), nil
}

// UnmarshalJSON reads seconds with or without a fraction.
func (t *Time) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return fmt.Errorf("a timestamp is a number of seconds since 1970, not %s", b)
	}
	if math.Abs(seconds) > 1e11 {
		return fmt.Errorf("timestamp %s is out of range", b)
	}
	t.Time = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	return nil
}
