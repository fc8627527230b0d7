package e2e_test

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// Every subscriber of a busy job gets every event: 200 sockets and 50 events
// are 10,000 deliveries.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	const sockets, events = 200, 50
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL()})
	producer := startOutbox(t, redis.Client())
	nodes := startDriver(t)

	clients := make([]*client, sockets)
	for i := range clients {
		clients[i] = nodes.open(clientName(i), server.url("/"))
	}
	for _, c := range clients {
		c.await("connect")
		c.subscribe("broadcast", nil)
	}
	for _, c := range clients {
		c.await(messaging.EventCaughtUp)
	}
	var metrics struct {
		TotalConnections   int
		TotalSubscriptions int
		SubscribersPerJob  map[string]int
	}
	server.fetch("/internal/realtime/metrics", &metrics)
	if metrics.TotalConnections != sockets || metrics.TotalSubscriptions != sockets || metrics.SubscribersPerJob["broadcast"] != sockets {
		t.Errorf("the metrics count %+v, want %d of each", metrics, sockets)
	}

	began := time.Now()
	for range events {
		producer.send("broadcast")
	}
	producer.settle()
	delivered := 0
	for _, c := range clients {
		received := journal{jobID: "broadcast"}
		received.follow(c, events)
		received.finish(c, producer.stored())
		delivered += len(received.delivered)
	}
	if delivered != sockets*events {
		t.Errorf("delivered %d of %d", delivered, sockets*events)
	}
	t.Logf("%d of %d deliveries in %s", delivered, sockets*events, time.Since(began).Round(time.Millisecond))

	// Whoever leaves is no longer counted.
	nodes.close()
	eventually(t, "no socket is counted", func() error {
		server.fetch("/internal/realtime/metrics", &metrics)
		if metrics.TotalConnections != 0 || metrics.TotalSubscriptions != 0 {
			return errStillCounted
		}
		return nil
	})
}
