package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// ownWriter also writes each event that the producer publishes into MongoDB, as some
// workers do. Publishing does not wait for the writes, and a failed write is not repeated.
type ownWriter struct {
	events    *mongo.Collection
	documents chan bson.D // a write that finds it full is omitted
	close     func()

	waiting                 atomic.Int64 // in documents, or being written
	written, failed, missed atomic.Int64
}

const (
	// ownWriters is the number of concurrent writes, and ownQueue of those that wait.
	ownWriters = 16
	ownQueue   = 20_000
	// ownWriteTime is how long a write may take: as long as the driver for Node waits for a
	// server by default.
	ownWriteTime = 30 * time.Second
)

// newOwnWriter starts a writer for the events of the trial's producer, which runs until
// close.
func (t *Trial) newOwnWriter(ctx context.Context) (*ownWriter, error) {
	db, err := projections.Connect(t.mongoURI())
	if err != nil {
		return nil, err
	}
	w := &ownWriter{events: db.Collection(historyCollection), documents: make(chan bson.D, ownQueue)}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for range ownWriters {
		running.Go(func() { w.run(ctx) }) // ends with ctx
	}
	w.close = sync.OnceFunc(func() {
		t.Outbox.Beside(nil)
		stop()
		running.Wait()
		_ = db.Client().Disconnect(context.WithoutCancel(ctx))
	})
	t.Outbox.Beside(w.take)
	return w, nil
}

// take queues the document of a published event.
func (w *ownWriter) take(envelope messaging.Envelope) {
	var event bson.D
	if err := bson.UnmarshalExtJSON(envelope.Event, false, &event); err != nil {
		w.missed.Add(1)
		return
	}
	now := time.Now()
	document := bson.D{
		{Key: "jobId", Value: envelope.JobID},
		{Key: "kind", Value: string(envelope.Kind)},
		{Key: "emittedAt", Value: occurredAt(event)},
		{Key: "event", Value: event},
		{Key: "createdAt", Value: now},
		{Key: "updatedAt", Value: now},
	}
	w.waiting.Add(1)
	select {
	case w.documents <- document:
	default:
		w.waiting.Add(-1)
		w.missed.Add(1)
	}
}

// occurredAt returns the field occurredAt of an event.
func occurredAt(event bson.D) any {
	for _, field := range event {
		if field.Key == "occurredAt" {
			return field.Value
		}
	}
	return nil
}

func (w *ownWriter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case document := <-w.documents:
			writing, cancel := context.WithTimeout(ctx, ownWriteTime)
			if _, err := w.events.InsertOne(writing, document); err != nil {
				w.failed.Add(1)
			} else {
				w.written.Add(1)
			}
			cancel()
			w.waiting.Add(-1)
		}
	}
}

// awaitIdle waits until every write has ended.
func (w *ownWriter) awaitIdle(ctx context.Context) error {
	for w.waiting.Load() > 0 {
		if err := wait.For(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d writes of the worker are under way: %w", w.waiting.Load(), err)
		}
	}
	return nil
}

// eventName is the part of a document or a delivery that identifies the event.
type eventName struct {
	JobID string `bson:"jobId" json:"jobId"`
	Event struct {
		Number int `bson:"number" json:"number"`
	} `bson:"event" json:"event"`
}

// awaitOnce waits until a program that reads the collection, and has no knowledge of the
// service, finds each event once.
func (w *ownWriter) awaitOnce(ctx context.Context, published map[string]int) error {
	for {
		wrong, err := w.notOnce(ctx, published)
		if err == nil && wrong == 0 {
			return nil
		}
		if waited := wait.For(ctx, 100*time.Millisecond); waited != nil {
			return fmt.Errorf("%d events do not stand once in %s (%v): %w", wrong, w.events.Name(), err, waited)
		}
	}
}

// notOnce returns how many events are not in the collection exactly once.
func (w *ownWriter) notOnce(ctx context.Context, published map[string]int) (wrong int, err error) {
	// One query for all jobs, as in readMongo.
	cursor, err := w.events.Find(ctx, bson.D{{Key: "kind", Value: string(messaging.KindDomain)}},
		options.Find().SetProjection(bson.D{{Key: "jobId", Value: 1}, {Key: "event.number", Value: 1}}))
	if err != nil {
		return 0, err
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	found := map[eventName]int{}
	for cursor.Next(ctx) {
		var name eventName
		if err := cursor.Decode(&name); err != nil {
			return 0, err
		}
		found[name]++
	}
	for job, count := range published {
		for number := range count {
			name := eventName{JobID: job}
			name.Event.Number = number
			if found[name] != 1 {
				wrong++
			}
		}
	}
	return wrong, cursor.Err()
}

// watcher repeatedly reads the trial's jobs as clients do, in pages of the REST API and
// with fresh subscriptions, until stop. It fails if one of these has an event twice.
type watcher struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu            sync.Mutex // guards the fields below
	pages, visits int
	twice         error
}

// watchPause is the pause between two readings. FerretDB reads the whole collection
// several times for each.
const watchPause = 250 * time.Millisecond

// watch starts a watcher of the first jobs.
func (t *Trial) watch(ctx context.Context) *watcher {
	w := &watcher{}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	gateways, jobs := t.addresses(0), t.jobs[:min(len(t.jobs), followedJobs)]
	loop := func(read func(ctx context.Context, gateway, job string) error) {
		w.running.Go(func() { // ends with ctx
			for n := 0; ; n++ {
				err := read(ctx, gateways[n%len(gateways)], jobs[n%len(jobs)])
				w.note(err)
				if wait.For(ctx, watchPause) != nil {
					return
				}
			}
		})
	}
	loop(w.page)
	loop(w.visit)
	return w
}

func (w *watcher) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.twice == nil {
		w.twice = err
	}
}

// stop ends the watcher, and returns how often it has read, and whether it has read an
// event twice.
func (w *watcher) stop() (pages, visits int, twice error) {
	w.cancel()
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pages, w.visits, w.twice
}

// watchTime bounds one reading. It is not a failure here if a gateway does not answer
// in time: other rows test that.
const watchTime = 10 * time.Second

// page reads one page. It returns an error only for the content of the page.
func (w *watcher) page(ctx context.Context, gateway, job string) error {
	ctx, cancel := context.WithTimeout(ctx, watchTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/api/novel/"+url.PathEscape(job)+"/events?limit=1000", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 32<<20))
	if err != nil || response.StatusCode != http.StatusOK {
		return nil
	}
	var body struct {
		Items []eventName `json:"items"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return fmt.Errorf("a page of %s: %w", job, err)
	}
	w.mu.Lock()
	w.pages++
	w.mu.Unlock()
	return onceEach("a page", job, body.Items)
}

// visit subscribes to a job without a position, and reads its events.
func (w *watcher) visit(ctx context.Context, gateway, job string) error {
	ctx, cancel := context.WithTimeout(ctx, watchTime)
	defer cancel()
	conn, err := socket.Dial(ctx, socket.Config{Endpoint: gateway + "/ws", Queue: ownQueue})
	if err != nil {
		return nil
	}
	defer conn.Kill()
	if conn.Emit(messaging.EventSubscribe, map[string]any{"jobId": job}) != nil {
		return nil
	}
	var shown []eventName
	for {
		event, err := conn.Next(ctx)
		if err != nil {
			return onceEach("a subscription", job, shown)
		}
		switch event.Name {
		case socket.DomainEvent:
			var name eventName
			if err := event.Decode(&name); err != nil {
				return fmt.Errorf("a subscription to %s: %w", job, err)
			}
			shown = append(shown, name)
		case messaging.EventCaughtUp:
			w.mu.Lock()
			w.visits++
			w.mu.Unlock()
			return onceEach("a subscription", job, shown)
		}
	}
}

// onceEach returns an error if an event occurs twice.
func onceEach(what, job string, events []eventName) error {
	seen := map[int]bool{}
	for _, e := range events {
		if seen[e.Event.Number] {
			return fmt.Errorf("%s of %s shows event %d twice, among %d", what, job, e.Event.Number, len(events))
		}
		seen[e.Event.Number] = true
	}
	return nil
}
