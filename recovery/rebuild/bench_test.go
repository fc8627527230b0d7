package rebuild_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/projections"
)

func BenchmarkRebuild(b *testing.B) {
	for _, events := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) { benchmarkRebuild(b, events) })
	}
}

// benchmarkRebuild fills a shadow and verifies it, and tells the rates and the
// most memory that was in use, FerretDB and JetStream in the same process
// included.
func benchmarkRebuild(b *testing.B, events int) {
	s := setup(b)
	s.append(events)
	var fill, verify time.Duration
	var peak uint64
	rounds := 0
	for b.Loop() {
		rounds++
		stop, watched := make(chan struct{}), make(chan struct{})
		go func() { // stopped by stop
			defer close(watched)
			var m runtime.MemStats
			ticker := time.NewTicker(100 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
			}
		}()
		r := s.rebuild(projections.History)
		began := time.Now()
		if err := r.Fill(b.Context(), true); err != nil {
			b.Fatal(err)
		}
		fill += time.Since(began)
		began = time.Now()
		report, err := r.Verify(b.Context(), true, 5)
		if err != nil || !report.Equal || report.Expected != uint64(events) {
			b.Fatalf("%+v, %v", report, err)
		}
		verify += time.Since(began)
		close(stop)
		<-watched
	}
	b.ReportMetric(float64(events*rounds)/fill.Seconds(), "rebuilt/s")
	b.ReportMetric(float64(events*rounds)/verify.Seconds(), "verified/s")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}
