package eventstore_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// openBench opens a log on an embedded server with the given durability.
func openBench(b *testing.B, cfg natsserver.Config) *bundle {
	b.Helper()
	server := startServer(b, cfg)
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	return open(b, conn)
}

// sized returns a record with a body of 330 bytes, the usual size of an event.
func sized(job string) messaging.Record {
	r := record(job, "x")
	r.Body = append(r.Body, make([]byte, 330-len(r.Body))...)
	return r
}

// BenchmarkAppend: what durability costs, for one job and for many at once.
func BenchmarkAppend(b *testing.B) {
	for _, durability := range []struct {
		name string
		cfg  natsserver.Config
	}{
		{"sync=always", natsserver.Config{SyncAlways: true}},
		{"sync=10s", natsserver.Config{SyncInterval: 10 * time.Second}},
	} {
		for _, lanes := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/jobs=%d", durability.name, lanes), func(b *testing.B) {
				log := openBench(b, durability.cfg)
				b.ReportAllocs()
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var running sync.WaitGroup
				for lane := range lanes {
					running.Go(func() {
						for left.Add(-1) >= 0 {
							if _, err := log.log.Append(context.Background(), sized(fmt.Sprint("job-", lane))); err != nil {
								b.Error(err)
							}
						}
					})
				}
				running.Wait()
			})
		}
	}
}

// fill appends count records spread over jobs, many at once.
func fill(b *testing.B, log *bundle, jobs, count int) {
	b.Helper()
	const lanes = 64
	var running sync.WaitGroup
	for lane := range lanes {
		running.Go(func() {
			for i := lane; i < count; i += lanes {
				if _, err := log.log.Append(context.Background(), sized(fmt.Sprint("job-", i%jobs))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	running.Wait()
}

// BenchmarkRead: a page of a long job (20,000 records among 100,000).
func BenchmarkRead(b *testing.B) {
	log := openBench(b, natsserver.Config{})
	fill(b, log, 5, 100_000)
	ctx := context.Background()
	for name, read := range map[string]func() ([]messaging.Record, error){
		"after":  func() ([]messaging.Record, error) { return log.log.ReadAfter(ctx, "job-3", 50_000, 250) },
		"newest": func() ([]messaging.Record, error) { return readBack(ctx, log.log, "job-3", math.MaxUint64, 250) },
		"before": func() ([]messaging.Record, error) { return readBack(ctx, log.log, "job-3", 50_000, 250) },
	} {
		b.Run(name+"/page=250", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if records, err := read(); err != nil || len(records) != 250 {
					b.Fatalf("%d records, %v", len(records), err)
				}
			}
		})
	}
	b.Run("last-sequence", func(b *testing.B) {
		for b.Loop() {
			if _, err := log.log.LastSequence(ctx, "job-3"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLastSequences: the check of all followed jobs.
func BenchmarkLastSequences(b *testing.B) {
	log := openBench(b, natsserver.Config{})
	const jobs = 2000
	fill(b, log, jobs, 20_000)
	names := make([]string, jobs)
	for i := range names {
		names[i] = fmt.Sprint("job-", i)
	}
	for b.Loop() {
		if last, err := log.log.LastSequences(context.Background(), names); err != nil || len(last) != jobs {
			b.Fatalf("%d jobs, %v", len(last), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/jobs, "µs/job")
}

// counting is a follower that tells when it has heard as many as it wants.
type counting struct {
	want  int64
	heard atomic.Int64
	all   chan struct{}
}

func (c *counting) Live(messaging.Live) {
	if c.heard.Add(1) == c.want {
		close(c.all)
	}
}

func (c *counting) Disrupted(messaging.Disruption) {}

// BenchmarkTail: from append to follower, with many jobs followed.
func BenchmarkTail(b *testing.B) {
	for _, jobs := range []int{10, 10_000} {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			log := openBench(b, natsserver.Config{})
			heard := &counting{want: int64(b.N), all: make(chan struct{})}
			tail := runTail(b, log.log, heard)
			for i := range jobs {
				if err := tail.Follow(context.Background(), fmt.Sprint("job-", i)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			fill(b, log, jobs, b.N)
			await(b, "all records", heard.all)
		})
	}
}

// BenchmarkSessions: 10,000 clients reconnect, and the state of each is saved. A
// bucket that was made by other means keeps its way to persist.
func BenchmarkSessions(b *testing.B) {
	const count = 10_000
	for _, persist := range []struct {
		name string
		mode jetstream.PersistModeType
		cfg  natsserver.Config
	}{
		{"sync=always/persist=async", jetstream.AsyncPersistMode, natsserver.Config{SyncAlways: true}},
		{"sync=always/persist=default", jetstream.DefaultPersistMode, natsserver.Config{SyncAlways: true}},
		{"sync=10s/persist=default", jetstream.DefaultPersistMode, natsserver.Config{SyncInterval: 10 * time.Second}},
	} {
		b.Run(persist.name, func(b *testing.B) {
			log := openBench(b, persist.cfg)
			_, err := log.js.CreateStream(b.Context(), jetstream.StreamConfig{
				Name: "KV_NOVEL_SESSIONS", Subjects: []string{"$KV.NOVEL_SESSIONS.>"}, MaxMsgsPerSubject: 1,
				DenyDelete: true, PersistMode: persist.mode,
			})
			if err != nil {
				b.Fatal(err)
			}
			sessions := log.openSessions(b)
			runSessions(b, sessions)
			state := make([]byte, 500)
			b.ReportAllocs()
			for b.Loop() {
				for i := range count {
					sessions.Save(sessionID(i), state)
				}
				log.settled(b)
			}
			b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "saves/s")
		})
	}
}
