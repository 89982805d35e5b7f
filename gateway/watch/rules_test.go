package watch

import (
	"fmt"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// story is a detector and its clock.
type story struct {
	d    *Detector
	now  time.Time
	seq  uint64
	said []Alert
}

func tell(s Settings) *story { return &story{d: New(s), now: monday} }

// call is a call of alice with key k from one network, changed.
func (s *story) call(change func(*audit.Record)) {
	s.seq++
	r := &audit.Record{Seq: s.seq, Time: s.now, Face: "rest", Principal: user("alice"), KeyID: "k", Operation: "Sign", Outcome: "allowed", SourceAddress: "192.0.2.1"}
	if change != nil {
		change(r)
	}
	s.said = append(s.said, s.d.Observe(r)...)
}

// days of alice: n calls in each hour from 9 to 16 on weekdays.
func (s *story) days(days, n int) {
	for range days {
		for hour := 9; hour < 17; hour++ {
			for range n {
				if day := s.now.Weekday(); day != time.Saturday && day != time.Sunday {
					at := s.now
					s.now = at.Add(time.Duration(hour) * time.Hour)
					s.call(nil)
					s.now = at
				}
			}
		}
		s.now = s.now.Add(24 * time.Hour)
	}
}

func (s *story) want(t *testing.T, what string, rules ...Rule) {
	t.Helper()
	var got []Rule
	for _, a := range s.said {
		got = append(got, a.Rule)
	}
	if fmt.Sprint(got) != fmt.Sprint(rules) {
		t.Errorf("%s: %v, want %v", what, got, rules)
	}
	s.said = nil
}

// TestRate: a spike is told within the hour, once, and a quiet key may be used more often.
func TestRate(t *testing.T) {
	t.Parallel()
	s := tell(Settings{})
	s.days(21, 20)
	s.want(t, "weeks")
	s.now = s.now.Add(10 * time.Hour)
	for range 60 { // three times the second-busiest hour
		s.call(nil)
	}
	s.want(t, "as much as is allowed")
	s.call(nil)
	if len(s.said) == 1 && (s.said[0].Count != 61 || s.said[0].Seq != s.seq) {
		t.Errorf("%+v", s.said)
	}
	s.want(t, "one more", Rate)
	for range 1000 {
		s.call(nil)
	}
	s.want(t, "all the others")
	quiet := tell(Settings{})
	quiet.days(21, 1)
	quiet.now = quiet.now.Add(10 * time.Hour)
	for range 50 {
		quiet.call(nil)
	}
	quiet.want(t, "below the floor")
	quiet.call(nil)
	quiet.want(t, "above it", Rate)
	for range 51 {
		quiet.call(func(r *audit.Record) { r.Operation = "Decrypt" })
	}
	quiet.want(t, "of a class that is new to the key", Rate)
	young := tell(Settings{})
	young.days(13, 1)
	for range 5000 {
		young.call(func(r *audit.Record) { r.Time = r.Time.Add(10 * time.Hour) })
	}
	young.want(t, "a new key")
}

// TestRules: what gives rise to an alert, and what is close to it and does not.
func TestRules(t *testing.T) {
	t.Parallel()
	s := tell(Settings{})
	s.days(21, 1)
	s.now = s.now.Add(10 * time.Hour)
	bob := func(r *audit.Record) { r.Principal = user("bob") }
	s.call(func(r *audit.Record) { bob(r); r.Operation = "Verify" })
	s.want(t, "another principal verifies")
	s.call(func(r *audit.Record) { bob(r); r.Outcome = "denied" })
	s.want(t, "and is denied")
	s.call(bob)
	s.want(t, "and signs", FirstUse)
	s.call(bob)
	s.want(t, "and signs again")
	s.call(func(r *audit.Record) { r.Principal, r.KeyID = user("bob"), "new" })
	s.want(t, "with a new key")
	s.call(func(r *audit.Record) {
		r.Principal, r.Operation, r.SourceKeyARN = user("bob"), "ReEncrypt", "arn:aws:kms:r:a:key/k"
	})
	s.want(t, "ReEncrypt from a key that it knows")
	session := func(name string) func(*audit.Record) {
		return func(r *audit.Record) { r.Principal = "arn:aws:sts::000000000000:assumed-role/ci/" + name }
	}
	s.call(session("1"))
	s.want(t, "a session", FirstUse)
	s.call(session("2"))
	s.want(t, "another session of the role")

	s.call(func(r *audit.Record) { r.SourceAddress = "192.0.2.200" })
	s.want(t, "from the same network")
	s.call(func(r *audit.Record) { r.SourceAddress, r.Outcome = "::ffff:198.51.100.1", "denied" })
	s.want(t, "from another network", NewAddress)
	s.call(func(r *audit.Record) { r.SourceAddress = "198.51.100.2" })
	s.want(t, "which is known then")
	for i := range 10 {
		s.call(func(r *audit.Record) { r.SourceAddress = fmt.Sprintf("2001:db8:%x::1", i) })
	}
	s.want(t, "from six more, and then from anywhere", NewAddress, NewAddress, NewAddress, NewAddress, NewAddress, NewAddress)

	s.now = s.now.Add(9 * time.Hour) // 19:00
	s.call(nil)
	s.want(t, "in the evening")
	s.now = s.now.Add(8 * time.Hour)
	s.call(func(r *audit.Record) { r.Principal, r.Operation, r.KeyID = user("alice"), "ListKeys", "" })
	s.want(t, "at 3 in the morning", UnusualHour)
	s.call(bob)
	s.want(t, "of whom too little is known")
	s.now = s.now.Add(4*24*time.Hour + 8*time.Hour) // Saturday, 11:00
	s.call(nil)
	s.want(t, "at a weekend", UnusualHour)
}

// TestRateKnows: bursts that came before at about that time of day are usual, by how many they are.
func TestRateKnows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		steady        int // uses in each hour of work
		every, before int // days between bursts, and their size
		at, allowed   int // the hour that is judged
	}{
		{"a quiet key", 2, 0, 0, 13, 50},
		{"a busy one", 40, 0, 0, 13, 120},
		{"a few bursts", 2, 10, 100, 13, 450},
		{"a few bursts, but by night", 2, 10, 100, 3, 50},
		{"a few larger ones", 2, 10, 200, 13, 600},
		{"one that alarmed", 2, 30, 100, 13, 150},
		{"two of which the first alarmed", 2, 16, 100, 13, 300},
		{"a busy key with one hour of a little more", 40, 30, 51, 13, 120},
		{"many bursts", 2, 3, 100, 13, 300},
		{"a busy key with one burst", 60, 30, 400, 13, 600},
		{"a key that is not used otherwise", 0, 14, 60, 13, 450},
	} {
		s := tell(Settings{Hour: HourSettings{Off: true}})
		for day := range 35 {
			if s.days(1, c.steady); c.every > 0 && day%c.every == c.every-1 {
				s.now = s.now.Add(-7 * time.Hour)
				for range c.before {
					s.call(nil)
				}
				s.now = s.now.Add(7 * time.Hour)
			}
		}
		s.said = nil
		s.now = s.now.Add(time.Duration(c.at) * time.Hour)
		for range c.allowed {
			s.call(nil)
		}
		s.want(t, c.name+": as much as is allowed")
		s.call(nil)
		s.want(t, c.name+": one more", Rate)
	}
}

// TestNights: what alarmed is usual from the third time on, and a night is one time.
func TestNights(t *testing.T) {
	t.Parallel()
	s := tell(Settings{})
	s.days(21, 1)
	s.now = s.now.Add(time.Hour)
	night := func() {
		for range 4 {
			s.call(nil)
			s.now = s.now.Add(time.Hour)
		}
		s.now = s.now.Add(20 * time.Hour)
	}
	for _, want := range [][]Rule{{UnusualHour}, {UnusualHour}, nil} {
		night()
		s.want(t, s.now.Weekday().String(), want...)
	}
	s.now = s.now.Add(2 * 24 * time.Hour) // Saturday
	night()
	s.want(t, "a weekend is apart", UnusualHour)
}

// TestLittleKnown: nothing is unusual about who has seldom called.
func TestLittleKnown(t *testing.T) {
	t.Parallel()
	elsewhere := func(r *audit.Record) { r.SourceAddress = "198.51.100.1" }
	for hours, want := range map[int][]Rule{9: nil, 10: {NewAddress}} {
		s := tell(Settings{})
		for range hours {
			s.call(nil)
			s.now = s.now.Add(48 * time.Hour)
		}
		s.call(elsewhere)
		s.want(t, fmt.Sprint(hours, " hours"), want...)
	}
}

// TestDormant: who was away for longer than Forget is compared with what it did before.
func TestDormant(t *testing.T) {
	t.Parallel()
	asleep := func(days int, at time.Duration) *story {
		s := tell(Settings{})
		s.days(60, 6)
		s.want(t, "before")
		s.now = s.now.Add(time.Duration(days)*24*time.Hour + at)
		return s
	}
	elsewhere := func(r *audit.Record) { r.SourceAddress = "203.0.113.9" }
	s := asleep(102, 10*time.Hour) // a Tuesday
	s.call(nil)
	s.want(t, "as before", FirstUse)
	s.now = s.now.Add(5 * time.Hour)
	s.call(nil)
	s.want(t, "and some hours later")
	for _, days := range []int{89, 91, 100, 700} {
		s := asleep(days, 2*time.Hour)
		s.call(func(r *audit.Record) { elsewhere(r); r.Operation = "ListKeys" })
		s.want(t, fmt.Sprint(days, " days: from elsewhere, at night"), NewAddress, UnusualHour)
		s.now = s.now.Add(time.Hour)
		s.call(elsewhere)
		want := []Rule{FirstUse}
		if days < 90 {
			want = nil
		}
		s.want(t, fmt.Sprint(days, " days: a use of its key"), want...)
		for range 50 {
			s.call(elsewhere)
		}
		s.want(t, fmt.Sprint(days, " days: many uses"), Rate)
	}
}

// TestLoud: what alarmed makes no key one that has bursts, and is forgotten as all else.
func TestLoud(t *testing.T) {
	t.Parallel()
	s := tell(Settings{Hour: HourSettings{Off: true}})
	s.days(70, 6)
	s.want(t, "weeks")
	for range 6 * 24 {
		for range 400 {
			s.call(nil)
		}
		s.now = s.now.Add(time.Hour)
	}
	if len(s.said) != 18 { // then half as much again as the day before is allowed
		t.Errorf("%d alerts in six days, want 18", len(s.said))
	}
	s.days(49, 6)
	s.said = nil
	s.now = s.now.Add(10 * time.Hour)
	for range 51 {
		s.call(nil)
	}
	s.want(t, "seven weeks later", Rate)
}

// TestBursts: the rules that learn nothing speak from the first day, of so many in so long.
func TestBursts(t *testing.T) {
	t.Parallel()
	for rule, change := range map[Rule]func(i int, r *audit.Record){
		Denials:  func(_ int, r *audit.Record) { r.Outcome = "denied" },
		KeySweep: func(i int, r *audit.Record) { r.Operation, r.KeyID = "GetPublicKey", fmt.Sprint(i) },
		DecryptFailures: func(_ int, r *audit.Record) {
			r.Operation, r.Outcome, r.ErrorCode = "Decrypt", "invalid", "InvalidCiphertextException"
		},
	} {
		most := map[Rule]int{Denials: 20, KeySweep: 20, DecryptFailures: 10}[rule]
		within := map[Rule]time.Duration{Denials: 10 * time.Minute, KeySweep: time.Hour, DecryptFailures: time.Hour}[rule]
		burst := func(s *story, from, n int, apart time.Duration) {
			for i := range n {
				s.call(func(r *audit.Record) { change(from+i, r) })
				s.now = s.now.Add(apart)
			}
		}
		s := tell(Settings{})
		burst(s, 0, most-1, time.Second)
		s.want(t, string(rule)+": one less")
		burst(s, most, 1, 0)
		s.want(t, string(rule), rule)
		burst(s, 100, 3*most, time.Second)
		s.want(t, string(rule)+": more of it")
		s.now = s.now.Add(30 * time.Minute) // less than Within of decrypt failures, so that the row goes on
		burst(s, 400, most, time.Second)
		s.now = s.now.Add(40 * time.Minute)
		if s.said = nil; rule != DecryptFailures {
			burst(s, 500, most, time.Second)
			if len(s.said) != 1 || s.said[0].Repeats != 4 {
				t.Errorf("%s, later: %+v", rule, s.said)
			}
		}
		slow := tell(Settings{})
		burst(slow, 0, 5*most, within/time.Duration(most)+within/10)
		if rule == DecryptFailures {
			slow = tell(Settings{})
			burst(slow, 0, 5*most, within+time.Second)
		}
		slow.want(t, string(rule)+": slowly")
	}
	s := tell(Settings{})
	for i := range 50 { // failures between ciphertexts that decrypt
		s.call(func(r *audit.Record) {
			if r.Operation = "Decrypt"; i%5 != 0 {
				r.Outcome, r.ErrorCode = "invalid", "InvalidCiphertextException"
			}
		})
	}
	s.want(t, "not in a row")
	for _, rule := range []Settings{{Denials: DenialSettings{Off: true}}, {Repeat: time.Hour, Denials: DenialSettings{Count: 51}}} {
		s := tell(rule)
		for range 50 {
			s.call(func(r *audit.Record) { r.Outcome = "denied" })
		}
		s.want(t, "switched off, or set higher")
	}
}

// TestClock: a clock that was wrong for a while makes the detector neither blind nor loud.
func TestClock(t *testing.T) {
	t.Parallel()
	s := tell(Settings{})
	s.days(21, 20)
	ahead := s.now.Add(10 * 365 * 24 * time.Hour)
	s.call(func(r *audit.Record) { r.Time = ahead })
	s.said = nil
	s.days(21, 20)
	s.want(t, "weeks after the clock was mended")
	s.now = s.now.Add(10 * time.Hour)
	for range 100 {
		s.call(nil)
	}
	s.want(t, "a spike", Rate)
}
