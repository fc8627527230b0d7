package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// written is one event as clients are shown it.
type written struct {
	Event struct {
		Number int `json:"number"`
	} `json:"event"`
}

// twice returns the number of an event that is there more than once, 0 for none, and how
// many there are.
func twice(events []written) (number, count int) {
	seen := make(map[int]bool)
	for _, e := range events {
		if seen[e.Event.Number] {
			number = e.Event.Number
		}
		seen[e.Event.Number] = true
	}
	return number, len(seen)
}

// TestWorkerWritesItself: a worker publishes the 53 events of a job, and writes some of
// them into MongoDB before that, some after it, some late, and some never. At every
// moment a page of the REST API and a new subscription show each event once at most, and
// all 53 in the end; so does a program that reads the collection.
func TestWorkerWritesItself(t *testing.T) {
	t.Parallel()
	const job, events, pause = "written", 53, 60 * time.Millisecond
	redis := testkit.StartRedis(t)
	o := startOperated(t, settings{"REDIS_URL": redis.URL()})
	client := redis.Client()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()

	published := make(chan struct{})
	wrote := make(chan time.Time, 1)
	var worker sync.WaitGroup
	worker.Go(func() { // ends after its events
		defer close(published)
		write := func(n int, at time.Time) {
			now := time.Now()
			_, err := o.events.InsertOne(ctx, bson.D{
				{Key: "jobId", Value: job},
				{Key: "kind", Value: "domain"},
				{Key: "emittedAt", Value: at},
				{Key: "event", Value: bson.D{{Key: "number", Value: n}, {Key: "occurredAt", Value: messaging.FormatTime(at)}, {Key: "type", Value: "chapter.saved"}}},
				{Key: "createdAt", Value: now},
				{Key: "updatedAt", Value: now},
			})
			if err != nil {
				t.Error(err)
			}
		}
		late := make(map[int]time.Time)
		for n := 1; n <= events; n++ {
			at := time.Now()
			if n%4 == 0 {
				write(n, at)
				time.Sleep(pause) // the worker's own delay
			}
			message := fmt.Sprintf(`{"kind":"domain","jobId":%q,"emittedAt":%q,"event":{"type":"chapter.saved","occurredAt":%q,"number":%d}}`,
				job, messaging.FormatTime(at), messaging.FormatTime(at), n)
			if err := client.Publish(ctx, "novel.realtime.events", message).Err(); err != nil {
				t.Error(err)
			}
			switch n % 4 {
			case 1:
				write(n, at)
			case 2:
				late[n] = at
			}
			time.Sleep(pause)
		}
		for n, at := range late {
			write(n, at)
		}
		wrote <- time.Now()
	})
	t.Cleanup(worker.Wait)

	page := func() (count int) {
		var body struct {
			Events []written `json:"items"`
		}
		o.fetch("/api/novel/"+job+"/events?limit=250", &body)
		number, count := twice(body.Events)
		if number > 0 {
			t.Errorf("a page of %d events shows event %d twice", len(body.Events), number)
		}
		return count
	}
	var sockets []*socket.Socket
	pages := 0
	for running := true; running; pages++ {
		if len(sockets) < 20 {
			sockets = append(sockets, subscribed(ctx, o, job))
		}
		page()
		select {
		case <-published:
			running = false
		case <-time.After(pause / 2):
		}
	}
	sockets = append(sockets, subscribed(ctx, o, job)) // while late documents are not adopted yet
	eventually(t, "a page shows all events", func() error {
		if count := page(); count != events {
			return fmt.Errorf("%d of %d", count, events)
		}
		return nil
	})
	eventually(t, "a reader of the collection counts each event once", func() error {
		n, err := o.events.CountDocuments(ctx, bson.D{{Key: "jobId", Value: job}})
		if err == nil && n != events {
			err = fmt.Errorf("%d documents of %d events", n, events)
		}
		return err
	})
	t.Logf("%d pages, %d subscriptions; a reader of the collection counts %d after %s",
		pages, len(sockets), events, time.Since(<-wrote).Round(time.Millisecond))

	end := fmt.Sprintf(`{"kind":"domain","jobId":%q,"event":{"type":"end","occurredAt":"o","number":1000}}`, job)
	if err := client.Publish(ctx, "novel.realtime.events", end).Err(); err != nil {
		t.Fatal(err)
	}
	for i, socket := range append(sockets, subscribed(ctx, o, job)) {
		var got []written
		for len(got) == 0 || got[len(got)-1].Event.Number != 1000 {
			message, err := socket.Next(ctx)
			if err != nil {
				t.Fatalf("subscription %d: %v", i, err)
			}
			if message.Name != "novel.domain-event" {
				continue
			}
			var event written
			if err := message.Decode(&event); err != nil {
				t.Fatal(err)
			}
			got = append(got, event)
		}
		if number, count := twice(got); number > 0 || count != events+1 {
			t.Errorf("subscription %d was shown %d events, %d distinct ones, %d twice", i, len(got), count, number)
		}
	}
}

// subscribed returns a socket that has asked for a job.
func subscribed(ctx context.Context, o *operated, job string) *socket.Socket {
	o.t.Helper()
	conn, err := socket.Open(ctx, socket.Config{Endpoint: o.url("/ws"), Queue: 1024})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(conn.Kill)
	if _, err := conn.Connect(ctx, nil); err != nil {
		o.t.Fatal(err)
	}
	if err := conn.Emit("subscribe", map[string]string{"jobId": job}); err != nil {
		o.t.Fatal(err)
	}
	return conn
}
