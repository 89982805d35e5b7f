package watch

import (
	"net/netip"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// How much is held. At these caps a Detector and a Usage take about 30 MB (docs/usage.md).
const (
	maxSeries  = 4096  // keys with an operation class
	maxPairs   = 16384 // principals with a key
	maxKeys    = 8192
	maxCallers = 4096
	maxReads   = 256 // keys of one principal
	maxTold    = 8192
	weeks      = 6 // of the hours of a series; longer than a month, so that what comes once a month is known
)

// Detector finds unusual patterns in the records of one log. It is for one goroutine.
type Detector struct {
	settings Settings
	zone     *time.Location

	series   *table[use, series]
	keys     *table[string, life]
	pairs    *table[pairKey, int64] // hour of the last use
	callers  *table[string, caller]
	failures *table[pairKey, failure]
	told     *table[subject, told]

	alerts  []Alert // of this record
	scratch []float64
}

// use is a way of using a key: its id and the class of the operation.
type use struct {
	Key   string
	Class class
}

// pairKey is a principal with a key.
type pairKey struct{ Principal, Key string }

// caller is what is known of a principal.
type caller struct {
	First, Last int64      // hours
	Cells       [48]uint16 // the last day (since 1970) with a call at this hour of a weekday, then of a weekend
	Odd         [48]uint32 // the last hour (since 1970) of those that alarmed
	Hours       [2]uint32  // how many hours of weekdays and of weekends had a call

	Networks []network
	Reads    map[uint64]int64 // hash of a key whose public key was asked for -> hour of the last time
	Fresh    []int64          // when keys were new to it, Unix seconds
	Denied   []int64          // when calls were denied, Unix milliseconds
}

// network is one that a principal has called from.
type network struct {
	Prefix netip.Prefix
	Last   int64  // hour
	Called uint32 // how many hours had a call then
}

// New makes a Detector that knows nothing. The settings have to be checked.
func New(s Settings) *Detector {
	s = s.WithDefaults()
	d := &Detector{settings: s, zone: time.UTC,
		series: newTable[use, series](maxSeries), keys: newTable[string, life](maxKeys), pairs: newTable[pairKey, int64](maxPairs),
		callers: newTable[string, caller](maxCallers), failures: newTable[pairKey, failure](maxCallers), told: newTable[subject, told](maxTold)}
	if zone, err := time.LoadLocation(s.Zone); err == nil {
		d.zone = zone
	}
	return d
}

// class is what an operation does with the secret part of a key.
type class string

const (
	signs    class = "sign"
	encrypts class = "encrypt"
	decrypts class = "decrypt"
)

// classes has the operations that use the secret part of a key; others are no uses.
var classes = map[string]class{
	"Sign": signs, "GenerateMac": signs, "Timestamp": signs, "GetKeyHistory": signs,
	"Encrypt": encrypts, "ReEncrypt": encrypts, "GenerateDataKey": encrypts, "GenerateDataKeyWithoutPlaintext": encrypts,
	"GenerateDataKeyPair": encrypts, "GenerateDataKeyPairWithoutPlaintext": encrypts, "Encapsulate": encrypts,
	"Decrypt": decrypts, "DeriveSharedSecret": decrypts, "Decapsulate": decrypts,
}

// Looks says whether a record is looked at: outcomes of calls, and nothing that the gateway does of itself, such as the
// detector's own records.
func Looks(r *audit.Record) bool {
	return r.Phase == "" && r.Face != "internal" && r.Principal != "" && r.Operation != Operation
}

// Observe takes the next record of the log and gives the alerts that it gives rise to; they are good until the next call.
func (d *Detector) Observe(r *audit.Record) []Alert {
	d.alerts = d.alerts[:0]
	if !Looks(r) {
		return nil
	}
	who := Principal(r.Principal)
	c := d.caller(who, r)
	d.address(r, who, c)
	d.hour(r, who, c)
	d.denials(r, who, c)
	d.sweep(r, who, c)
	d.decrypt(r, who)
	if r.Outcome == "allowed" {
		if class, ok := classes[r.Operation]; ok && r.KeyID != "" {
			d.use(r, who, r.KeyID, class)
		}
		if r.SourceKeyARN != "" { // of ReEncrypt
			d.use(r, who, r.SourceKeyARN[strings.LastIndexByte(r.SourceKeyARN, '/')+1:], decrypts)
		}
	}
	return d.alerts
}

// use is one use of a key.
func (d *Detector) use(r *audit.Record, who, key string, c class) {
	k := d.key(key, r)
	d.rate(r, use{key, c}, k)
	d.firstUse(r, who, key, k)
}

// life is what is known of a key.
type life struct {
	First, Last int64 // hours of uses
	Days        int   // on which it was used
}

func newLife(hour int64) life { return life{First: hour, Last: hour, Days: 1} }

// key gives the life of a key, which begins now if it is not known.
func (d *Detector) key(id string, r *audit.Record) *life {
	k, at := d.keys.get(id), hourOf(r.Time)
	if k == nil {
		begun := newLife(at)
		k = &begun
		d.keys.put(id, k)
	}
	if at/24 > k.Last/24 { // records are a little out of order
		k.Days++
	}
	k.Last = max(k.Last, at)
	return k
}

func (d *Detector) caller(who string, r *audit.Record) *caller {
	c := d.callers.get(who)
	if c == nil {
		c = &caller{First: hourOf(r.Time)}
		d.callers.put(who, c)
	} else if !d.fresh(c.Last, r.Time) {
		c.wake(hourOf(r.Time) - c.Last)
	}
	return c
}

// wake moves the habits of one that was away for longer than Forget to the present: it is compared with them, since a
// credential that nobody misses is a good one to steal.
func (c *caller) wake(away int64) {
	for i := range c.Networks {
		c.Networks[i].Last += away
	}
	for i := range c.Cells {
		if c.Cells[i] != 0 {
			c.Cells[i] += uint16(away / 24)
		}
		if c.Odd[i] != 0 {
			c.Odd[i] += uint32(away)
		}
	}
}

// Principal is who a caller is to the rules: the role of a session, and else itself.
func Principal(arn string) string {
	at := strings.Index(arn, ":assumed-role/")
	if at < 0 {
		return arn
	}
	role, _, _ := strings.Cut(arn[at+len(":assumed-role/"):], "/")
	return strings.Replace(arn[:at], ":sts:", ":iam:", 1) + ":role/" + role
}

// hourOf is the number of an hour since 1970.
func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// hours are a duration in hours.
func hours(d time.Duration) int64 { return int64(d / time.Hour) }

// knownFor says whether what was first seen in an hour is known for long enough.
func (d *Detector) knownFor(first int64, now time.Time) bool {
	return now.Unix()-first*3600 >= int64(d.settings.Learn/time.Second)
}

// fresh says whether what was last seen in an hour is not forgotten.
func (d *Detector) fresh(last int64, now time.Time) bool {
	return hourOf(now)-last <= hours(d.settings.Forget)
}
