package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Operation is that of the audit record of an alert.
const Operation = "Alert"

// Rule is the name of a rule, as in metrics and records.
type Rule string

// The rules.
const (
	Rate            Rule = "rate"
	FirstUse        Rule = "first-use"
	NewAddress      Rule = "new-address"
	UnusualHour     Rule = "unusual-hour"
	Denials         Rule = "denials"
	KeySweep        Rule = "key-sweep"
	DecryptFailures Rule = "decrypt-failures"
)

// Rules are all rules.
var Rules = []Rule{Rate, FirstUse, NewAddress, UnusualHour, Denials, KeySweep, DecryptFailures}

// Alert is what a rule says.
type Alert struct {
	// ID is the same whenever the same log is looked at: it is made of the log's origin, the rule, the subject, and in
	// which Repeat since 1970 the alert is.
	ID      string
	Rule    Rule
	Subject string    // what the rule speaks of once a Repeat
	Time    time.Time // of the record that gave rise to it
	Seq     uint64    // its number

	Principal, SourceAddress, KeyID, KeyARN string // of that record

	Count   int    // calls that are meant, as the rule counts them
	Repeats int    // alerts about the subject since the last one that was told
	Reason  string // in words
}

// told is when a rule spoke of a subject.
type told struct {
	At      int64 // Unix seconds
	Repeats int
}

// subject is what a rule spoke of.
type subject struct {
	Rule Rule
	Of   string
}

// say gives the alert of a rule about a subject, or counts it where it was told not long ago.
func (d *Detector) say(r *audit.Record, rule Rule, of string, count int, format string, args ...any) {
	at, key := r.Time.Unix(), subject{rule, of}
	repeat := int64(max(d.settings.Repeat/time.Second, 1))
	last := d.told.get(key)
	if last != nil && at < last.At+repeat && at > last.At-repeat { // a clock that was set back is no reason to be silent
		last.Repeats++
		return
	}
	if last == nil {
		last = new(told)
		d.told.put(key, last)
	}
	a := Alert{Rule: rule, Subject: of, Time: r.Time, Seq: r.Seq, Principal: r.Principal, SourceAddress: r.SourceAddress, KeyID: r.KeyID, KeyARN: r.KeyARN,
		Count: count, Repeats: last.Repeats, Reason: fmt.Sprintf(format, args...)}
	if last.Repeats > 0 {
		a.Reason += fmt.Sprintf("; %d more like it since the last alert", last.Repeats)
	}
	sum := sha256.Sum256([]byte(r.Origin + "\x00" + string(rule) + "\x00" + of + "\x00" + strconv.FormatInt(at/repeat, 10)))
	a.ID = hex.EncodeToString(sum[:16])
	*last = told{At: at}
	d.alerts = append(d.alerts, a)
}
