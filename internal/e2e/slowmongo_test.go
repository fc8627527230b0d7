package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/lab/load/socket"
)

// TestFreshJobWithASlowMongo: 200 clients subscribe at once to a job that nobody has
// published to, while each command to MongoDB takes 100 ms more, and then an event is
// published. MongoDB is asked for all of them together, whether the log still has every
// record that it took or has removed some.
func TestFreshJobWithASlowMongo(t *testing.T) {
	t.Parallel()
	const job, clients, delay = "fresh", 200, 100 * time.Millisecond
	for _, removed := range []bool{false, true} {
		t.Run(fmt.Sprintf("the log has removed records: %t", removed), func(t *testing.T) {
			redis := testkit.StartRedis(t)
			mongo, uri := mongokit.NewDelay(t, startMongo(t))
			g := startGateway(t, settings{
				"REDIS_URL": redis.URL(), "MONGODB_URI": uri, "NATS_LISTEN": "127.0.0.1:0", "SOCKET_CLIENT_ORIGIN": "*",
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			publish := func(job string) {
				t.Helper()
				envelope := fmt.Sprintf(`{"version":1,"kind":"domain","jobId":%q,"event":{"type":"t","occurredAt":"2026-03-01T12:00:00.000Z"}}`, job)
				if err := redis.Client().Publish(ctx, "novel.realtime.events", envelope).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if removed {
				publish("another")
				removeRecords(t, natsURL(g))
			}
			sockets := make([]*socket.Socket, clients)
			for i := range sockets {
				var err error
				if sockets[i], err = socket.Open(ctx, socket.Config{Endpoint: "ws://" + g.address() + "/ws/", Queue: 1024}); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(sockets[i].Close)
				if _, err := sockets[i].Connect(ctx, nil); err != nil {
					t.Fatal(err)
				}
			}
			mongo.Set(delay)
			for _, socket := range sockets {
				if err := socket.Emit("subscribe", map[string]any{"jobId": job}); err != nil {
					t.Fatal(err)
				}
			}
			for _, socket := range sockets {
				if event, err := socket.Next(ctx); err != nil || event.Name != "novel.subscribed" {
					t.Fatalf("%s, %v", event.Name, err)
				}
			}
			published := time.Now()
			publish(job)
			waits := make([]time.Duration, clients)
			var readers sync.WaitGroup
			for i, socket := range sockets {
				readers.Go(func() { // ends with its event and the end of its catch-up
					for live, caughtUp := false, false; !live || !caughtUp; {
						event, err := socket.Next(ctx)
						if err != nil {
							t.Error(err)
							return
						}
						switch event.Name {
						case "novel.domain-event":
							live, waits[i] = true, time.Since(published)
						case "novel.caught-up":
							caughtUp = true
						}
					}
				})
			}
			readers.Wait()
			slices.Sort(waits)
			heads, jobs, events := mongo.Finds("novel_job_heads", job), mongo.Finds("novel_jobs", job), mongo.Finds("novel_job_events", job)
			t.Logf("first live event p50 %s, max %s; finds: %d on novel_job_heads, %d on novel_jobs, %d on novel_job_events",
				waits[clients/2].Round(time.Millisecond), waits[clients-1].Round(time.Millisecond), heads, jobs, events)
			if heads > 2 || jobs > 2 || events > 10 {
				t.Errorf("MongoDB was asked too often")
			}
		})
	}
}

// removeRecords removes what a log has, as retention does.
func removeRecords(t *testing.T, url string) {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log has removed records", func() error {
		stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
		if err != nil {
			return err
		}
		if err := stream.Purge(t.Context()); err != nil {
			return err
		}
		if info, err := stream.Info(t.Context()); err != nil || info.State.FirstSeq < 2 {
			return fmt.Errorf("it begins at %d, %w", info.State.FirstSeq, err)
		}
		return nil
	})
}
