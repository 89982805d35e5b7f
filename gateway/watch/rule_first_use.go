package watch

import (
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule first-use: a principal uses, successfully and with its secret part, a key that it has not used within Forget and
// was not the last one to use, and the key is in use for Learn or longer.
//
// It is robust since it compares with nothing that varies: who uses a key changes when somebody changes a policy, a
// role or a pipeline, and then the alert is the confirmation. A new key is silent until it is known for Learn, and
// the sessions of a role are one principal.
func (d *Detector) firstUse(r *audit.Record, who, key string) {
	k, at := d.key(key, r.Time), hourOf(r.Time)
	before := k.Last
	k.Last = max(before, at)
	pair := pairKey{who, key}
	last := d.pairs.get(pair)
	if last != nil && (d.fresh(*last, r.Time) || *last == before) {
		*last = max(*last, at)
		return
	}
	d.pairs.remove(pair)
	d.pairs.put(pair, &at)
	if !d.settings.FirstUse.Off && d.knownFor(k.First, r.Time) {
		d.say(r, FirstUse, who+" "+key, 1, "%s uses the key for the first time by %s", who, r.Operation)
	}
}

// life is when a key was used first and last, in hours.
type life struct{ First, Last int64 }

// key gives the life of a key, which begins now if it is not known.
func (d *Detector) key(id string, now time.Time) *life {
	k := d.keys.get(id)
	if k == nil {
		k = &life{First: hourOf(now), Last: hourOf(now)}
		d.keys.put(id, k)
	}
	return k
}
