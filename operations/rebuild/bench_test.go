package rebuild_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

// events is the size of the largest log of the benchmark: -args -events 1000000.
var events = flag.Int("events", 20_000, "events of the largest log of BenchmarkRebuild")

// BenchmarkRebuild fills a shadow from logs of a tenth and of all events and verifies
// it. NATS and MongoDB are processes of their own, so that the most memory in use that
// it tells is that of the rebuild: it must not grow with the log.
func BenchmarkRebuild(b *testing.B) {
	dir := b.TempDir()
	programs, err := processes.Build(b.Context(), ".", filepath.Join(dir, "bin"))
	if err != nil {
		b.Skipf("SKIPPED, NOTHING WAS MEASURED: %v", err)
	}
	for _, count := range []int{max(1, *events/10), *events} {
		b.Run(fmt.Sprintf("events=%d", count), func(b *testing.B) { benchmarkRebuild(b, programs, count) })
	}
}

func benchmarkRebuild(b *testing.B, programs processes.Programs, count int) {
	l, err := processes.New(processes.Config{Programs: programs, Dir: filepath.Join(b.TempDir(), "lab"), Nodes: 1, Sync: "10s", Mongo: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	}()
	if err := l.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	conn, err := eventstore.Connect(b.Context(), l.NATSURL(), eventstore.ConnConfig{Name: "benchmark"})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	opened, err := eventstore.Open(b.Context(), conn, eventstore.DefaultConfig(), nil, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	db, err := projections.Connect(l.MongoURI())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Client().Disconnect(context.Background()) }()
	store, err := projections.New(db, projections.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	model, err := store.Model(projections.History)
	if err != nil {
		b.Fatal(err)
	}
	log := maintain.Of(opened)
	if err := appendMany(b.Context(), log, count); err != nil {
		b.Fatal(err)
	}
	r := rebuild.New(log, model, nil)
	var fill, verify time.Duration
	var most uint64
	rounds := 0
	for b.Loop() {
		rounds++
		peak := watchHeap()
		began := time.Now()
		if err := r.Fill(b.Context(), true); err != nil {
			b.Fatal(err)
		}
		filled := time.Now()
		report, err := r.Verify(b.Context(), true, 5)
		if err == nil && (!report.Equal || report.Expected != uint64(count)) {
			err = errors.New("not equal")
		}
		if err != nil {
			b.Fatalf("%+v, %v", report, err)
		}
		fill, verify = fill+filled.Sub(began), verify+time.Since(filled)
		most = max(most, peak())
	}
	b.ReportMetric(float64(count*rounds)/fill.Seconds(), "rebuilt/s")
	b.ReportMetric(float64(count*rounds)/verify.Seconds(), "verified/s")
	b.ReportMetric(float64(most)/(1<<20), "peak-MiB")
}

// appendMany stores events of some 250 a job, as an ingester does: one at a time of a
// job, and of many jobs at once.
func appendMany(ctx context.Context, log *maintain.Log, count int) error {
	const appenders, perJob = 64, 250
	var group errgroup.Group
	for worker := range appenders {
		group.Go(func() error {
			for n := worker; n < count; n += appenders {
				if _, err := log.Append(ctx, recordOf(n, fmt.Sprint("job-", worker, "-", n/appenders/perJob))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// watchHeap looks at the heap until the function that it returns is called, which
// tells the most that was in use.
func watchHeap() (peak func() uint64) {
	runtime.GC() // what was there before does not count
	stop, most := make(chan struct{}), make(chan uint64)
	go func() { // stopped by stop
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		var m runtime.MemStats
		for seen := uint64(0); ; {
			select {
			case <-stop:
				most <- seen
				return
			case <-ticker.C:
				runtime.ReadMemStats(&m)
				seen = max(seen, m.HeapAlloc)
			}
		}
	}()
	return func() uint64 { close(stop); return <-most }
}
