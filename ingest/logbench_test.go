package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// BenchmarkRedisToLog measures the way of an event from Redis into a log on disk, and the
// CPU time that this process, including the embedded server, uses for it. An event has 330
// bytes and an id. Run it with -benchtime 20000x or so. BenchmarkSync in the same run shows
// the speed of the disk.
func BenchmarkRedisToLog(b *testing.B) {
	padding := strings.Repeat("x", 200)
	for _, durability := range durabilities {
		for _, jobs := range []int{64, 1} {
			b.Run(fmt.Sprintf("%s/jobs=%d", durability.name, jobs), func(b *testing.B) {
				redisToLog(b, durability.cfg, "NOVEL_EVENTS", func(n int) string {
					return strings.Replace(event(fmt.Sprint("job-", n%jobs), fmt.Sprint("id-", n), n), `"t"`, `"`+padding+`"`, 1)
				})
			})
		}
	}
}

var durabilities = []struct {
	name string
	cfg  natsserver.Config
}{
	{"sync=always", natsserver.Config{SyncAlways: true}},
	{"sync=10s", natsserver.Config{SyncInterval: 10 * time.Second}},
}

// BenchmarkPoisonToLog is [BenchmarkRedisToLog] for events that become dead letters.
func BenchmarkPoisonToLog(b *testing.B) {
	padding := strings.Repeat("x", 200)
	for _, durability := range durabilities {
		b.Run(durability.name, func(b *testing.B) {
			redisToLog(b, durability.cfg, "NOVEL_DEADLETTER", func(n int) string {
				return strings.Replace(event(fmt.Sprint("job-", n%64), fmt.Sprint("id-", n), n), `"kind"`, `"king":"`+padding+`","kin"`, 1)
			})
		})
	}
}

// redisToLog publishes events until all of them are in a stream.
func redisToLog(b *testing.B, cfg natsserver.Config, stream string, text func(n int) string) {
	// outstanding bounds the events that are published and not stored, so that Redis does
	// not disconnect its subscriber.
	const outstanding, pipeline = 5000, 100
	ctx := b.Context()
	cfg.StoreDir = b.TempDir()
	server, err := natsserver.Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close(context.Background()) }()
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	logger, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	log, err := eventstore.Open(ctx, conn, eventstore.DefaultConfig(), logger, registry)
	if err != nil {
		b.Fatal(err)
	}
	client := testkit.StartRedis(b).Client()
	g, err := ingest.New(client, log, messaging.DefaultCatalogue(), ingest.DefaultConfig(), logger, registry)
	if err != nil {
		b.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(running) }() // stopped below
	eventually(b, "the subscription", func() bool { return g.Connected() == nil })

	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	stored := func() int {
		found, err := js.Stream(ctx, stream)
		if err != nil {
			b.Fatal(err)
		}
		return int(found.CachedInfo().State.LastSeq)
	}
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuTime(b)
	for published := 0; published < b.N; {
		pipe := client.Pipeline()
		for range min(pipeline, b.N-published) {
			published++
			pipe.Publish(ctx, messaging.EventsChannel, text(published))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			b.Fatal(err)
		}
		for published-stored() > outstanding {
			time.Sleep(time.Millisecond)
		}
	}
	for stored() < b.N {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/event")
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSync measures a plain write of 330 bytes and fsync on the disk of the tests.
func BenchmarkSync(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 330)
	for b.Loop() {
		if _, err := file.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

// cpuTime returns the CPU time of this process so far.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
