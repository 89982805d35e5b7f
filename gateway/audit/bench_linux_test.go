package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// BenchmarkAppend on the disk of the temporary folder, and in memory, where fdatasync costs nothing: what is
// left there is the log's own work. Run it with -benchtime 100000x.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("disk/callers=%d", callers), func(b *testing.B) { benchAppend(b, b.TempDir(), callers) })
		b.Run(fmt.Sprintf("memory/callers=%d", callers), func(b *testing.B) {
			dir, err := os.MkdirTemp("/dev/shm", "audit")
			if err != nil {
				b.Skip("no file system in memory:", err)
			}
			defer func() { _ = os.RemoveAll(dir) }()
			benchAppend(b, dir, callers)
		})
	}
}

func benchAppend(b *testing.B, dir string, callers int) {
	l := open(b, filepath.Join(dir, "audit.log"), Options{})
	r := sample(1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	var wg sync.WaitGroup
	begun := cpu(b)
	b.ReportAllocs()
	b.ResetTimer()
	for c := range callers {
		n := b.N / callers
		if c == 0 {
			n += b.N % callers
		}
		wg.Go(func() {
			for range n {
				if _, err := l.Append(ctx, r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-begun)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(b.N)/float64(l.Stats().Batches), "records/batch")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkBody(b *testing.B) {
	r := sample(1)
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendBody(buf[:0], r)
	}
}
