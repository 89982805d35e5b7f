package watch

import (
	"fmt"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule first-use: a principal uses, successfully and with its secret part, a key that it has not used within Forget,
// and the key is in use for Learn or longer, be it by the same principal before that.
//
// It is robust since it compares with nothing that varies: who uses a key changes when somebody changes a policy, a
// role or a pipeline, and then the alert is the confirmation. A new key is silent until it is known for Learn, and
// the sessions of a role are one principal.
func (d *Detector) firstUse(r *audit.Record, who, key string, k *life) {
	at := hourOf(r.Time)
	pair := pairKey{who, key}
	last := d.pairs.get(pair)
	if last != nil && d.fresh(*last, r.Time) {
		*last = max(*last, at)
		return
	}
	d.pairs.remove(pair)
	d.pairs.put(pair, &at)
	if !d.settings.FirstUse.Off && d.knownFor(k.First, r.Time) {
		since := ""
		if last != nil {
			since = fmt.Sprintf(" in %d days", hours(d.settings.Forget)/24)
		}
		d.say(r, FirstUse, who+" "+key, 1, "%s uses the key for the first time%s by %s", who, since, r.Operation)
	}
}
