package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// discardLog is a log that stores nothing and signals each append.
type discardLog struct {
	sequence atomic.Uint64
	appended chan struct{}
}

func (l *discardLog) Append(context.Context, messaging.Record) (messaging.Receipt, error) {
	l.appended <- struct{}{}
	return messaging.Receipt{Sequence: l.sequence.Add(1)}, nil
}

func (*discardLog) MaxBatch() int { return 1000 }

func (l *discardLog) AppendBatch(_ context.Context, records []messaging.Record) ([]messaging.Receipt, error) {
	receipts := make([]messaging.Receipt, len(records))
	for n := range records {
		l.appended <- struct{}{}
		receipts[n].Sequence = l.sequence.Add(1)
	}
	return receipts, nil
}

func (*discardLog) DeadLetter(context.Context, ...messaging.DeadLetter) error { return nil }
func (*discardLog) StoreCanary(context.Context, string) error                 { return nil }
func (*discardLog) Waits() bool                                               { return false }
func (*discardLog) Head(context.Context) (uint64, error)                      { return 0, nil }

// BenchmarkIngest measures the way of an event from a published batch to the call of the
// log, for batches of 1000.
func BenchmarkIngest(b *testing.B) {
	const batch = 1000
	for _, paddingBytes := range []int{200, 10_000} {
		for _, id := range []string{"", "id"} {
			b.Run(fmt.Sprintf("padding=%d/id=%t", paddingBytes, id != ""), func(b *testing.B) {
				publish, stop := ingestTo(b, batch, paddingBytes, id)
				number := 0
				b.ReportAllocs()
				for b.Loop() {
					publish()
					number += batch
				}
				b.ReportMetric(float64(number)/b.Elapsed().Seconds(), "events/s")
				stop()
			})
		}
	}
}

// ingestTo runs an ingest on a redis-server with a log that stores nothing. publish
// publishes a batch of events and returns when all have been appended; their ids begin with
// id, and are absent if it is empty.
func ingestTo(tb testing.TB, batch, paddingBytes int, id string) (publish, stop func()) {
	tb.Helper()
	server := testkit.StartRedis(tb)
	client := server.Client()
	log := &discardLog{appended: make(chan struct{}, batch)}
	g, err := ingest.New(client, log, messaging.DefaultCatalogue(), ingest.DefaultConfig(),
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		tb.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }() // stopped by stop
	eventually(tb, "the subscription", func() bool { return g.Connected() == nil })

	padding := strings.Repeat("x", paddingBytes)
	number := 0
	publish = func() {
		pipe := client.Pipeline()
		for range batch {
			number++
			key := id
			if key != "" {
				key = fmt.Sprint(id, number)
			}
			pipe.Publish(ctx, messaging.EventsChannel, strings.Replace(event(fmt.Sprint("job-", number%50), key, number), `"t"`, `"`+padding+`"`, 1))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			tb.Fatalf("publish: %v", err)
		}
		for range batch {
			<-log.appended
		}
	}
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Fatalf("run: %v", err)
		}
	}
	return publish, stop
}
