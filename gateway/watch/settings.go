package watch

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no time zones of its own
)

// Settings say how the gateway's own log is watched for unusual patterns: docs/usage.md. It is on unless it is
// switched off.
type Settings struct {
	// Off switches all of it off, with what GetUsage tells.
	Off bool `yaml:"off"`
	// State is the file that keeps what was learned, with the number of the last record that was seen. When it is lost,
	// the log is read again. Default audit.path with .watch added.
	State string `yaml:"state"`
	// Zone is the time zone in which hours and weekends are those of people, such as Europe/Berlin. Default UTC.
	Zone string `yaml:"zone"`
	// Learn is how long a key or a principal has to be known before the rules speak that compare with what was before:
	// rate, first_use, address and hour. Default 336h.
	Learn time.Duration `yaml:"learn"`
	// Forget is how long what a principal or a key did not do again counts as known. A principal that was away for longer
	// is compared with what it did before. Default 2160h.
	Forget time.Duration `yaml:"forget"`
	// Repeat is how long a rule is silent about a subject after an alert. What it would have said is counted. Default 1h.
	Repeat time.Duration `yaml:"repeat"`
	// Late is how old a record may be to be told of where the log is read without a state, as at the first start.
	// Default 168h.
	Late time.Duration `yaml:"late"`
	// Rate tells of many more uses of a key in an hour than it has at that time.
	Rate RateSettings `yaml:"rate"`
	// FirstUse tells of the first use of a key by a principal.
	FirstUse FirstUseSettings `yaml:"first_use"`
	// Address tells of calls of a principal from a network that it never called from.
	Address AddressSettings `yaml:"address"`
	// Hour tells of calls of a principal at an hour at which it never calls.
	Hour HourSettings `yaml:"hour"`
	// Denials tell of many denied calls of a principal.
	Denials DenialSettings `yaml:"denials"`
	// Sweep tells of a principal that fetches the public keys of many keys that it never asked for.
	Sweep SweepSettings `yaml:"sweep"`
	// Decrypt tells of ciphertexts in a row that do not decrypt.
	Decrypt DecryptSettings `yaml:"decrypt"`
}

// RateSettings are those of rate.
type RateSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
	// Floor is how many uses in an hour never alarm. Default 50.
	Floor int `yaml:"floor"`
	// Deviations is how many (normal) deviations above the median of its hour of the week are allowed. Default 8.
	Deviations float64 `yaml:"deviations"`
	// Peak is how many times the busiest hour, at about that time of day, of the second-busiest day are allowed, and half
	// as many times that of the busiest. Default 3.
	Peak float64 `yaml:"peak"`
	// Days is on more than how many days a key has to be used for floor to hold, and on how many of six weeks it has
	// to be above floor if it was so on two at about that time of day. Else floor is peak times peak as high. Default 8.
	Days int `yaml:"days"`
}

// FirstUseSettings are those of first_use.
type FirstUseSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
}

// AddressSettings are those of address.
type AddressSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
	// IPv4Prefix is how many bits of an IPv4 address make the network. Default 24.
	IPv4Prefix int `yaml:"ipv4_prefix"`
	// IPv6Prefix is the same of an IPv6 address. Default 48.
	IPv6Prefix int `yaml:"ipv6_prefix"`
	// Most is how many networks a principal may be known from for a new one to say anything: one with as many is
	// taken for one that moves, such as the runners of a CI service. At most 64. Default 8.
	Most int `yaml:"most"`
	// Hours is in how many hours a principal must have called for a new network to say anything, and in twice as
	// many others for one to be forgotten. Default 10.
	Hours int `yaml:"hours"`
}

// HourSettings are those of hour.
type HourSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
	// Around is how many hours before and after a known call are usual, too. At most 11. Default 3.
	Around int `yaml:"around"`
	// Hours is in how many hours of weekdays (or of weekends) a principal must have called for another hour to say
	// anything. Default 40.
	Hours int `yaml:"hours"`
}

// DenialSettings are those of denials.
type DenialSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
	// Count is how many denied calls alarm. At most 1000. Default 20.
	Count int `yaml:"count"`
	// Within is in what time. Default 10m.
	Within time.Duration `yaml:"within"`
}

// SweepSettings are those of sweep.
type SweepSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
	// Keys is how many keys that are new to the principal alarm. At most 256. Default 20.
	Keys int `yaml:"keys"`
	// Within is in what time. Default 1h.
	Within time.Duration `yaml:"within"`
}

// DecryptSettings are those of decrypt.
type DecryptSettings struct {
	// Off switches the rule off.
	Off bool `yaml:"off"`
	// Count is how many failures in a row alarm. Default 10.
	Count int `yaml:"count"`
	// Within is how long after one failure the next still is in a row with it. Default 1h.
	Within time.Duration `yaml:"within"`
}

// WithDefaults fills in what is not set.
func (s Settings) WithDefaults() Settings {
	setDefault(&s.Zone, "UTC")
	setDefault(&s.Learn, 14*24*time.Hour)
	setDefault(&s.Forget, 90*24*time.Hour)
	setDefault(&s.Repeat, time.Hour)
	setDefault(&s.Late, 7*24*time.Hour)
	setDefault(&s.Rate.Floor, 50)
	setDefault(&s.Rate.Deviations, 8)
	setDefault(&s.Rate.Peak, 3)
	setDefault(&s.Rate.Days, 8)
	setDefault(&s.Address.IPv4Prefix, 24)
	setDefault(&s.Address.IPv6Prefix, 48)
	setDefault(&s.Address.Most, 8)
	setDefault(&s.Address.Hours, 10)
	setDefault(&s.Hour.Around, 3)
	setDefault(&s.Hour.Hours, 40)
	setDefault(&s.Denials.Count, 20)
	setDefault(&s.Denials.Within, 10*time.Minute)
	setDefault(&s.Sweep.Keys, 20)
	setDefault(&s.Sweep.Within, time.Hour)
	setDefault(&s.Decrypt.Count, 10)
	setDefault(&s.Decrypt.Within, time.Hour)
	return s
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Check names everything that is wrong, each with its setting; nothing is "".
func (s Settings) Check() string {
	s = s.WithDefaults()
	var wrong []string
	bound := func(name string, v, low, high float64) {
		if v < low || v > high {
			wrong = append(wrong, fmt.Sprintf("%s: %v is not from %v to %v", name, v, low, high))
		}
	}
	span := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			wrong = append(wrong, fmt.Sprintf("%s: %s is not from %s to %s", name, v, low, high))
		}
	}
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
		wrong = append(wrong, fmt.Sprintf("zone: %q is not a time zone, such as Europe/Berlin", s.Zone))
	}
	const day = 24 * time.Hour
	span("learn", s.Learn, time.Second, 28*day)
	span("forget", s.Forget, 7*day, 730*day)
	span("repeat", s.Repeat, time.Second, 30*day)
	span("late", s.Late, time.Second, 730*day)
	bound("rate.floor", float64(s.Rate.Floor), 1, 1e9)
	bound("rate.deviations", s.Rate.Deviations, 1, 1e6)
	bound("rate.peak", s.Rate.Peak, 1, 1e6)
	bound("rate.days", float64(s.Rate.Days), 1, 7*weeks-1)
	bound("address.ipv4_prefix", float64(s.Address.IPv4Prefix), 1, 32)
	bound("address.ipv6_prefix", float64(s.Address.IPv6Prefix), 1, 128)
	bound("address.most", float64(s.Address.Most), 1, 64)
	bound("address.hours", float64(s.Address.Hours), 1, 1e6)
	bound("hour.around", float64(s.Hour.Around), 1, 11)
	bound("hour.hours", float64(s.Hour.Hours), 1, 1e6)
	bound("denials.count", float64(s.Denials.Count), 1, 1000)
	span("denials.within", s.Denials.Within, time.Second, day)
	bound("sweep.keys", float64(s.Sweep.Keys), 1, maxReads)
	span("sweep.within", s.Sweep.Within, time.Second, day)
	bound("decrypt.count", float64(s.Decrypt.Count), 1, 1e6)
	span("decrypt.within", s.Decrypt.Within, time.Second, day)
	return strings.Join(wrong, "; ")
}
