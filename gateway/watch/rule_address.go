package watch

import (
	"net/netip"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The rule new-address: a principal calls, whatever the outcome, from a network (IPv4Prefix bits of its address, 24; for
// IPv6 IPv6Prefix, 48) that it has not called from within Forget, nor in the last twice Hours (20) hours in which it called.
//
// It is robust since it looks at networks and not at addresses, which change within one, and says nothing of a principal that
// is known from Most (8) networks: such a one moves, as the runners of a CI service do, and a new network is its
// habit. It is silent until the principal is known for Learn and has called in Hours (10) hours, since of one that seldom
// calls little is known. Who was away for longer than Forget is compared with the networks from before. Behind a proxy,
// trusted_proxies has to name it.
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
	at, called := hourOf(r.Time), c.Hours[0]+c.Hours[1]
	known, oldest := 0, 0
	for i := range c.Networks {
		n := &c.Networks[i]
		fresh := d.fresh(n.Last, r.Time) || called-n.Called < 2*uint32(d.settings.Address.Hours)
		if n.Prefix == prefix && fresh {
			n.Last, n.Called = max(n.Last, at), called
			return
		}
		if fresh {
			known++
		}
		if n.Last < c.Networks[oldest].Last {
			oldest = i
		}
	}
	enough := called >= uint32(d.settings.Address.Hours)
	if !d.settings.Address.Off && enough && known < d.settings.Address.Most && d.knownFor(c.First, r.Time) {
		d.say(r, NewAddress, who+" "+prefix.String(), 1, "%s calls from %s, where it never called from", who, prefix)
	}
	if len(c.Networks) >= d.settings.Address.Most {
		c.Networks[oldest] = network{prefix, at, called}
		return
	}
	c.Networks = append(c.Networks, network{prefix, at, called})
}
