package projections_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/projections"
)

// TestAdoptionWithASlowMongo: while a worker writes each of its events itself, and MongoDB
// takes 50 ms for each command of the gateway, a program that reads the collection sees
// each event twice for a short time. How short is logged: FerretDB takes some 20 ms for
// each document that it changes, where MongoDB takes 500 with a command.
func TestAdoptionWithASlowMongo(t *testing.T) {
	t.Parallel()
	const events, perSecond = 60, 20
	b := setup(t)
	line, uri := mongokit.NewDelay(t, mongokit.URI())
	line.Set(50 * time.Millisecond)
	db, err := projections.Connect(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Client().Disconnect(context.Background()) })
	gateway := b
	if gateway.Store, err = projections.New(db.Client().Database(b.db.Name()), patient(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	gateway.running(t, newFeed())
	records, docs := publishedAndWritten(t, events, 3)
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for i := range records {
		<-tick.C
		b.insert(t, b.events(), docs[i])
		if err := b.WriteHistory(t.Context(), records[i:i+1], false); err != nil {
			t.Fatal(err)
		}
	}
	wrote := time.Now()
	eventually(t, "each event once", func() bool { return b.count(t, b.events(), bson.D{}) == events })
	t.Logf("each of %d events stands once %s after the last was written", events, time.Since(wrote).Round(time.Millisecond))
}

// BenchmarkStandsTwice has a worker write each of its events itself for some seconds, while
// the projection writes them and the adopter makes its passes. It reports for how long an
// event stands twice: from its second document on until one of the two is removed.
func BenchmarkStandsTwice(b *testing.B) {
	const seconds, ticks = 3, 20 // a second
	for _, rate := range []int{20, 100, 300} {
		b.Run(fmt.Sprintf("%d a second", rate), func(b *testing.B) {
			for b.Loop() {
				bench := setup(b)
				removals := newRemovals()
				client, err := mongo.Connect(options.Client().ApplyURI(mongokit.URI()).SetMonitor(removals.monitor()))
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = client.Disconnect(context.Background()) })
				if bench.Store, err = projections.New(client.Database(bench.db.Name()), projections.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
					b.Fatal(err)
				}
				bench.running(b, newFeed())
				records, docs := publishedAndWritten(b, rate*seconds, 12)
				tick := time.NewTicker(time.Second / ticks)
				defer tick.Stop()
				twice := make(map[string]time.Time, len(records))
				for from := 0; from < len(records); from += rate / ticks {
					<-tick.C
					to := min(from+rate/ticks, len(records))
					bench.insert(b, bench.events(), docs[from:to]...)
					if err := bench.WriteHistory(b.Context(), records[from:to], false); err != nil {
						b.Fatal(err)
					}
					for _, r := range records[from:to] {
						twice[r.Position.String()] = time.Now()
					}
				}
				var lasted []time.Duration
				for id, since := range twice {
					select {
					case at := <-removals.of(id):
						lasted = append(lasted, at.Sub(since))
					case <-time.After(10 * time.Minute):
						b.Fatalf("%s stands twice", id)
					}
				}
				slices.Sort(lasted)
				b.ReportMetric(lasted[len(lasted)/2].Seconds(), "s-p50")
				b.ReportMetric(lasted[len(lasted)-1].Seconds(), "s-max")
			}
		})
	}
}

// removals has when documents were removed, by their _ids.
type removals struct {
	mu      sync.Mutex // guards the fields below
	asked   map[int64][]string
	removed map[string]chan time.Time
}

func newRemovals() *removals {
	return &removals{asked: make(map[int64][]string), removed: make(map[string]chan time.Time)}
}

// of returns a channel that receives when a document was removed.
func (r *removals) of(id string) chan time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at(id)
}

func (r *removals) at(id string) chan time.Time {
	if r.removed[id] == nil {
		r.removed[id] = make(chan time.Time, 1)
	}
	return r.removed[id]
}

func (r *removals) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName != "delete" {
				return
			}
			ids, _ := e.Command.Lookup("deletes", "0", "q", "_id", "$in").ArrayOK()
			values, _ := ids.Values()
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, value := range values {
				if id, ok := value.StringValueOK(); ok {
					r.asked[e.RequestID] = append(r.asked[e.RequestID], id)
				}
			}
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, id := range r.asked[e.RequestID] {
				select {
				case r.at(id) <- time.Now():
				default: // It was removed before.
				}
			}
			delete(r.asked, e.RequestID)
		},
	}
}
