package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

// worker publishes with the Go publisher, one life after the other.
type worker struct {
	*publisher.Publisher
	stop func() error
}

func startWorker(t testing.TB, client *redis.Client, cfg publisher.Config) *worker {
	t.Helper()
	p, err := publisher.New(client, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }() // ends with stop
	w := &worker{Publisher: p, stop: sync.OnceValue(func() error { cancel(); return <-ended })}
	t.Cleanup(func() { _ = w.stop() })
	return w
}

// publish takes n events of each job in, numbered from first.
func (w *worker) publish(t testing.TB, jobs, first, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := first; i < first+n; i++ {
		for j := range jobs {
			jobID := fmt.Sprintf("job-%d", j)
			envelope, err := messaging.NewDomain(jobID, map[string]any{"type": "step", "occurredAt": "now", "number": i})
			if err != nil {
				t.Fatal(err)
			}
			envelope.ID = fmt.Sprintf("%s/%d", jobID, i)
			if _, err := w.Publish(ctx, envelope); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// drained waits until nothing waits for a receipt.
func (w *worker) drained(t testing.TB) {
	t.Helper()
	eventually(t, "everything is confirmed", func() error {
		if events, _ := w.Waiting(); events > 0 {
			return fmt.Errorf("%d events wait", events)
		}
		return nil
	})
}

// stored checks that the gateway has events 0 to n−1 of each job, once, in order.
func stored(t testing.TB, g *gateway, jobs, n int) {
	t.Helper()
	for j := range jobs {
		jobID := fmt.Sprintf("job-%d", j)
		next := 0
		for since := uint64(0); ; {
			var page struct {
				Items []struct {
					Sequence uint64
					ID       string
				}
			}
			g.fetch(fmt.Sprintf("/api/novel/%s/events?limit=1000&since=%d", url.PathEscape(jobID), since), &page)
			if len(page.Items) == 0 {
				break
			}
			for _, item := range page.Items {
				if want := fmt.Sprintf("%s/%d", jobID, next); item.ID != want {
					t.Fatalf("event %d of %s is %q, want %q", next, jobID, item.ID, want)
				}
				next++
				since = item.Sequence
			}
		}
		if next != n {
			t.Errorf("%d of %d events of %s are stored", next, n, jobID)
		}
	}
}

// A burst goes on while the gateway is killed again and again, while the Redis
// connections of subscribers are cut, and while Redis restarts.
func TestPublisherLosesNothing(t *testing.T) {
	t.Parallel()
	const jobs, rounds, burst = 8, 6, 40
	redisServer := testkit.StartRedis(t)
	g := startGateway(t, settings{"REDIS_URL": redisServer.URL(), "NATS_SYNC": "10s"})
	cfg := publisher.DefaultConfig()
	cfg.Dir = t.TempDir()
	client := redisServer.Client()
	w := startWorker(t, client, cfg)
	for round := range rounds {
		w.publish(t, jobs, round*burst, burst)
		switch round % 3 {
		case 0:
			g.kill()
			g.start()
		case 1:
			if err := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
				t.Error(err)
			}
		case 2:
			redisServer.Restart()
		}
	}
	w.drained(t)
	stored(t, g, jobs, rounds*burst)
}

// A worker that ends with events unconfirmed leaves them in its journal, and its
// successor sends them before its own; one that starts over with the same ids
// sends nothing twice.
func TestPublisherComesBack(t *testing.T) {
	t.Parallel()
	const jobs, burst = 3, 30
	redisServer := testkit.StartRedis(t)
	cfg := publisher.DefaultConfig()
	cfg.Dir, cfg.DrainTimeout = t.TempDir(), 0
	client := redisServer.Client()
	first := startWorker(t, client, cfg)
	first.publish(t, jobs, 0, burst) // and nobody listens
	if err := first.stop(); !errors.Is(err, publisher.ErrUnconfirmed) {
		t.Fatalf("the first life ended with %v", err)
	}
	g := startGateway(t, settings{"REDIS_URL": redisServer.URL(), "NATS_SYNC": "10s"})
	second := startWorker(t, client, cfg)
	second.publish(t, jobs, burst-5, 5+burst)
	second.drained(t)
	stored(t, g, jobs, 2*burst)
}

// While Redis is away the events go over HTTP, and an id that the log has with
// another body is refused there, by name.
func TestPublisherOverHTTP(t *testing.T) {
	t.Parallel()
	redisServer := testkit.StartRedis(t)
	g := startGateway(t, settings{"REDIS_URL": redisServer.URL(), "NATS_SYNC": "10s", "INTERNAL_TOKEN": "a token of the test"})
	cfg := publisher.DefaultConfig()
	cfg.URL, cfg.Token, cfg.FallbackAfter = g.url(""), "a token of the test", 500*time.Millisecond
	client := redisServer.Client()
	w := startWorker(t, client, cfg)
	w.publish(t, 2, 0, 3)
	w.drained(t)
	redisServer.Kill()
	w.publish(t, 2, 3, 5)
	w.drained(t)
	other := messaging.Envelope{Version: 1, Kind: messaging.KindDomain, JobID: "job-0", ID: "job-0/4", Event: json.RawMessage(`{"type":"other","occurredAt":"now"}`)}
	pending, err := w.Publish(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var rejection *messaging.Rejection
	if _, err := pending.Wait(ctx); !errors.As(err, &rejection) || rejection.Reason != messaging.ReasonIDConflict {
		t.Errorf("error %v", err)
	}
	stored(t, g, 2, 8)
}
