package watch

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// unseen is the first of the seeds that no default was chosen by.
const unseen = 3001

// BenchmarkFound prints precision and recall of each rule on traffic of seeds that no default was chosen by, with
// three things of each kind done in the week that is judged, and how many alerts the same weeks give without them.
//
//	go test ./gateway/watch -run - -bench Found -benchtime 1x
func BenchmarkFound(b *testing.B) {
	for b.Loop() {
		const seeds = 20
		scores, plain, all := newScores(), newScores(), score{}
		for seed := range uint64(seeds) {
			judge(b, unseen+seed, 3, Settings{}, scores)
			judge(b, unseen+seed, 0, Settings{}, plain)
		}
		quiet := 0
		for _, r := range marks {
			s := scores[r]
			b.Logf("%-17s precision %.3f  recall %.3f  (%d of %d found; %d alerts right, %d wrong; %d in plain weeks)", r, s.precision(), s.recall(), s.Found, s.Done, s.Right, s.Wrong, plain[r].Wrong)
			all = score{all.Found + s.Found, all.Done + s.Done, all.Right + s.Right, all.Wrong + s.Wrong}
			quiet += plain[r].Wrong
		}
		b.ReportMetric(all.precision(), "precision")
		b.ReportMetric(all.recall(), "recall")
		b.ReportMetric(float64(quiet)/seeds, "alerts/plain-week")
	}
}

// BenchmarkObserve is the cost of a record, and of the same with reading it from its line.
func BenchmarkObserve(b *testing.B) {
	var all []*audit.Record
	newCompany(1, 1).run(1, func(r *audit.Record) { all = append(all, r) })
	b.Run("detector", func(b *testing.B) {
		d, i := New(Settings{}), 0
		b.ReportAllocs()
		for b.Loop() {
			d.Observe(all[i%len(all)])
			i++
		}
	})
	b.Run("usage", func(b *testing.B) {
		u, i := NewUsage(), 0
		b.ReportAllocs()
		for b.Loop() {
			u.Observe(all[i%len(all)])
			i++
		}
	})
}

// BenchmarkCaps is what is held of more keys, principals and addresses than there is room for.
func BenchmarkCaps(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d, u := New(Settings{Denials: DenialSettings{Count: 1}}), NewUsage()
		fill(d, u, 200_000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		begin := time.Now()
		data, err := Snapshot(d, u, Seen{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(data))/1e6, "MB-state")
		b.ReportMetric(time.Since(begin).Seconds(), "s-to-save")
		runtime.KeepAlive(d)
		runtime.KeepAlive(u)
	}
}

// fill makes so many calls, each of another principal with another key from another network.
func fill(d *Detector, u *Usage, n int) {
	r := audit.Record{Face: "rest"}
	for i := range n {
		r.Time = monday.Add(time.Duration(i) * time.Minute)
		r.Principal, r.KeyID = user(fmt.Sprint(i%5000)), fmt.Sprintf("%036d", i%9973)
		r.SourceAddress = fmt.Sprintf("10.%d.%d.1", i%256, i/256%256)
		r.Operation, r.Outcome, r.ErrorCode = "Sign", "allowed", ""
		switch i % 4 {
		case 1:
			r.Operation, r.Outcome, r.ErrorCode = "Decrypt", "invalid", "InvalidCiphertextException"
		case 2:
			r.Operation = "GetPublicKey"
		case 3:
			r.Outcome = "denied"
		}
		d.Observe(&r)
		u.Observe(&r)
	}
}
