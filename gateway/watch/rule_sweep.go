package watch

import (
	"cmp"
	"hash/fnv"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule key-sweep: a principal asked for the public keys (GetPublicKey, ListPublicKeys), whatever the answer, of Keys
// (20) keys within Within (1h) that it had not asked for within Forget. A reference that names no key counts as one.
//
// It is robust since it counts keys that are new to the principal: a job that publishes all public keys every night is
// told of once, when it is new, and not again. It learns no threshold, so it speaks from the first day. A principal that knows
// 256 keys is silent: to look at many keys is its work.
func (d *Detector) sweep(r *audit.Record, who string, c *caller) {
	if r.Operation != "GetPublicKey" && r.Operation != "ListPublicKeys" {
		return
	}
	h, at := fnv.New64a(), hourOf(r.Time)
	h.Write([]byte(cmp.Or(r.KeyID, r.Resource)))
	key := h.Sum64()
	if last, ok := c.Reads[key]; ok && d.fresh(last, r.Time) {
		c.Reads[key] = at
		return
	}
	if len(c.Reads) >= maxReads {
		for k, last := range c.Reads {
			if !d.fresh(last, r.Time) {
				delete(c.Reads, k)
			}
		}
	}
	if len(c.Reads) >= maxReads {
		return
	}
	if c.Reads == nil {
		c.Reads = make(map[uint64]int64)
	}
	c.Reads[key] = at
	var all bool
	s := d.settings.Sweep
	if c.Fresh, all = within(c.Fresh, r.Time.Unix(), int64(s.Within.Seconds()), s.Keys); all && !s.Off {
		d.say(r, KeySweep, who, s.Keys, "%s asked for the public keys of %d keys within %s that it never asked for", who, s.Keys, s.Within)
	}
}
