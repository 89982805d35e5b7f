package tree

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What the tree costs a record, reading it included, in time of the processor; and how much memory it lives in.
func BenchmarkBuild(b *testing.B) {
	w := newWorld(b)
	for range 20 {
		w.add(1000)
	}
	n := int64(w.log.Head().Seq)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := cpu(b)
	var e *Edge
	for b.Loop() {
		var err error
		if e, err = Build(w.path, n, nil); err != nil {
			b.Fatal(err)
		}
	}
	used := cpu(b) - begun
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(used.Nanoseconds())/float64(int64(b.N)*n), "cpu-ns/record")
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)), "heap-bytes")
	if e.Size() != n {
		b.Fatal(e.Size())
	}
}

// What the whole of it costs beside the log: the same records appended with and without a tree.
func BenchmarkAppend(b *testing.B) {
	for _, tree := range []bool{false, true} {
		name := map[bool]string{false: "log", true: "log and tree"}[tree]
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			if tree {
				o := w.options()
				o.Interval = time.Second
				w.start(o)
			}
			begun := cpu(b)
			for b.Loop() {
				w.add(1000)
			}
			b.ReportMetric(float64((cpu(b)-begun).Nanoseconds())/float64(1000*b.N), "cpu-ns/record")
			if tree {
				w.covered()
			}
		})
	}
}
