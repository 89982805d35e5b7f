package watch

import (
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule first-use: a principal uses a key that it has not used within Forget, successfully and with its secret part,
// and the key is in use for Learn or longer by others.
//
// It is robust since it compares with nothing that varies: who uses a key changes when somebody changes a policy, a
// role or a pipeline, and then the alert is the confirmation. A new key is silent until it is known for Learn, and
// the sessions of a role are one principal.
func (d *Detector) firstUse(r *audit.Record, who, key string) {
	since, at := d.keySince(key, r.Time), hourOf(r.Time)
	pair := pairKey{who, key}
	last := d.pairs.get(pair)
	if last != nil && d.fresh(*last, r.Time) {
		*last = max(*last, at)
		return
	}
	d.pairs.remove(pair)
	d.pairs.put(pair, &at)
	if !d.settings.FirstUse.Off && d.knownFor(since, r.Time) {
		d.say(r, FirstUse, who+" "+key, 1, "%s uses the key for the first time by %s", who, r.Operation)
	}
}

// keySince is the hour in which a key was first used.
func (d *Detector) keySince(key string, now time.Time) int64 {
	first := d.keys.get(key)
	if first == nil {
		hour := hourOf(now)
		first = &hour
		d.keys.put(key, first)
	}
	return *first
}
