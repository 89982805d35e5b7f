package watch

import (
	"net/netip"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule new-address: a principal calls, whatever the outcome, from a network (IPv4Prefix bits of its address, 24; for
// IPv6 IPv6Prefix, 48) that it has not called from within Forget.
//
// It is robust since it looks at networks and not at addresses, which change within one, and says nothing of a principal that
// is known from Most (8) networks: such a one moves, as the runners of a CI service do, and a new network is its
// habit. It is silent until the principal is known for Learn. Behind a proxy, trusted_proxies has to name it.
func (d *Detector) address(r *audit.Record, who string, c *caller) {
	ip, err := netip.ParseAddr(r.SourceAddress)
	if err != nil {
		return
	}
	ip = ip.Unmap().WithZone("")
	bits := d.settings.Address.IPv6Prefix
	if ip.Is4() {
		bits = d.settings.Address.IPv4Prefix
	}
	prefix, _ := ip.Prefix(bits) // the settings were checked
	at, known, oldest := hourOf(r.Time), 0, 0
	for i := range c.Networks {
		n := &c.Networks[i]
		fresh := d.fresh(n.Last, r.Time)
		if n.Prefix == prefix && fresh {
			n.Last = max(n.Last, at)
			return
		}
		if fresh {
			known++
		}
		if n.Last < c.Networks[oldest].Last {
			oldest = i
		}
	}
	if !d.settings.Address.Off && known < d.settings.Address.Most && d.knownFor(c.First, r.Time) {
		d.say(r, NewAddress, who+" "+prefix.String(), 1, "%s calls from %s, where it never called from", who, prefix)
	}
	if len(c.Networks) >= d.settings.Address.Most {
		c.Networks[oldest] = network{prefix, at}
		return
	}
	c.Networks = append(c.Networks, network{prefix, at})
}
