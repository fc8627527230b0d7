package e2e_test

import (
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// A published event reaches a client, live and after a break of any part: the
// client is killed, the gateway is killed and comes back with its data folder,
// both while events are being published. The client gets exactly what it
// missed, then what is new, in order, nothing twice.
func TestResume(t *testing.T) {
	t.Parallel()
	const burst = 40
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL()})
	producer := startOutbox(t, redis.Client())
	first := startDriver(t)
	const job = "resume me, *.> & come back"
	publish := func(n int) {
		for range n {
			producer.send(job)
		}
	}
	subscriber := journal{jobID: job}

	// Live.
	c := first.connect("first", server.url("/"))
	c.subscribe(job, nil)
	c.await(messaging.EventCaughtUp)
	publish(burst)
	subscriber.follow(c, burst)

	// The client dies in the middle of a burst and misses another.
	publish(burst)
	first.kill()
	subscriber.salvage(c)
	publish(burst)
	producer.settle()

	// The gateway dies in the middle of a burst, and nobody is there for the next.
	publish(burst)
	server.kill()
	publish(burst)
	server.start()

	// The client comes back while events are being published.
	second := startDriver(t)
	c = second.open("second", server.url("/"))
	publish(burst)
	subscriber.follow(c, 6*burst)

	// The gateway dies under the connected client, which resumes by itself.
	for range 3 {
		before := len(subscriber.delivered)
		publish(burst)
		server.kill()
		publish(burst)
		server.start()
		subscriber.follow(c, before+2*burst)
	}
	producer.settle()
	subscriber.finish(c, producer.stored())
	if got, want := len(subscriber.delivered), 12*burst; got != want {
		t.Errorf("published %d events, delivered %d", want, got)
	}
}

// A worker's event without an id gets no receipt and is not repeated, and is
// delivered all the same while Redis and the gateway are up.
func TestPublishWithoutID(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL()})
	c := startDriver(t).connect("a", server.url("/"))
	c.subscribe("plain", nil)
	c.await(messaging.EventCaughtUp)
	publisher := redis.Client()
	for _, envelope := range []string{
		`{"kind":"job-status","jobId":"plain","status":"running"}`,
		`not JSON`,
		`{"kind":"job-status","jobId":"plain","status":"running"}`,
		`{"version":1,"kind":"generation","jobId":"plain","event":{"type":"chapter","occurredAt":"2026-01-01T00:00:00Z","words":[1.0,1e2]},"emittedAt":"2026-01-01T00:00:01Z","later":true}`,
	} {
		if err := publisher.Publish(t.Context(), messaging.EventsChannel, envelope).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var status struct {
		JobID, EmittedAt, Status string
		Snapshot                 *struct{}
		Sequence                 uint64
	}
	for sequence := uint64(1); sequence <= 2; sequence++ {
		c.await(messaging.EventJobStatus).into(t, &status)
		if status.JobID != "plain" || status.Status != "running" || status.Snapshot != nil || status.Sequence != sequence || status.EmittedAt == "" {
			t.Errorf("event %d: got %+v", sequence, status)
		}
	}
	const want = `{"jobId":"plain","emittedAt":"2026-01-01T00:00:01Z","event":{"type":"chapter","occurredAt":"2026-01-01T00:00:00Z","words":[1,100]},"sequence":3}`
	if e := c.next(); e.Name != "novel.generation-event" || string(e.Args[0]) != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
}

// The ways in which clients in the field connect; each one receives live
// events, loses its connection, resumes, and unsubscribes.
func TestTransports(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL()})
	producer := startOutbox(t, redis.Client())
	nodes := startDriver(t)
	tests := []struct {
		name    string
		version int
		options options
		ends    string // the transport that it ends up with
	}{
		{"websocket", 4, transports["websocket"], "websocket"},
		{"polling", 4, transports["polling"], "polling"},
		{"default", 4, transports["default"], "websocket"},
		{"trailing slash", 4, options{"path": "/ws/"}, "websocket"},
		{"version 3, websocket", 3, transports["websocket"], "websocket"},
		{"version 3, polling", 3, transports["polling"], "polling"},
		{"version 3, default", 3, transports["default"], "websocket"},
	}
	const job, before, after = "transports", 5, 10
	clients := make([]*client, len(tests))
	journals := make([]journal, len(tests))
	for i, test := range tests {
		c := nodes.openVersion(test.version, test.name, server.url("/"), test.options)
		clients[i], journals[i].jobID = c, job
		var first struct{ Transport string }
		c.await("connect").into(t, &first)
		if first.Transport != test.ends {
			c.await("upgrade").into(t, &first.Transport)
		}
		if first.Transport != test.ends {
			t.Errorf("%s: ended up with %s", test.name, first.Transport)
		}
		c.subscribe(job, nil)
		c.await(messaging.EventCaughtUp)
	}
	for range before {
		producer.send(job)
	}
	for i, c := range clients {
		journals[i].follow(c, before)
		c.do("cut")
	}
	for range after - before {
		producer.send(job)
	}
	producer.settle()
	for i, c := range clients {
		journals[i].follow(c, after)
		journals[i].finish(c, producer.stored())
		if a := c.request("unsubscribe", map[string]any{"jobId": job}); !a.OK || a.JobID != job {
			t.Errorf("%s: unsubscribe is answered with %+v", c.name, a)
		}
	}
	stored := producer.stored()
	producer.send(job)
	producer.settle()
	for i, c := range clients {
		journals[i].finish(c, stored) // and nothing that was published since
	}
}
