package projections_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// counted returns a second store on b's database, and a function that returns how often
// it has sent each command since the last call.
func (b bench) counted(t *testing.T) (*projections.Store, func() map[string]int) {
	t.Helper()
	var mu sync.Mutex // guards sent
	sent := make(map[string]int)
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		sent[e.CommandName]++
	}}
	client, err := mongo.Connect(options.Client().ApplyURI(mongokit.URI()).SetMonitor(monitor))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	store, err := projections.New(client.Database(b.db.Name()), patient(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return store, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		counts := sent
		sent = make(map[string]int)
		return counts
	}
}

// publishedAndWritten returns events of some jobs, as records and as a worker's documents.
func publishedAndWritten(t testing.TB, events, jobs int) (records []messaging.Record, docs []any) {
	t.Helper()
	for n := range events {
		r := generation(uint64(n+1), fmt.Sprintf("job%d", n%jobs), chapter(n))
		records, docs = append(records, r), append(docs, written(t, r))
	}
	return records, docs
}

// TestAPassIsAFewRoundTrips: how many commands a pass sends depends little on how many
// documents it adopts, so that a MongoDB that takes 50 ms for each is fast enough.
func TestAPassIsAFewRoundTrips(t *testing.T) {
	t.Parallel()
	const events = 80
	b := setup(t)
	records, docs := publishedAndWritten(t, events, 20)
	b.insert(t, b.events(), docs...)
	if err := b.WriteHistory(t.Context(), records, false); err != nil {
		t.Fatal(err)
	}
	store, sent := b.counted(t)
	adopter := store.NewAdopter()
	if err := adopter.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts := sent()
	if n := b.count(t, b.events(), bson.D{}); n != events {
		t.Errorf("%d documents after one pass, want %d", n, events)
	}
	// FerretDB takes 16 updates with a command, where MongoDB takes 500.
	updates, all := counts["update"], 0
	for _, n := range counts {
		all += n
	}
	t.Logf("%d documents with %d updates and %d other commands: %v", events, updates, all-updates, counts)
	if others := all - updates; updates > events/16+4 || others > 16 {
		t.Errorf("%d updates and %d other commands for %d documents, want at most %d and 16", updates, others, events, events/16+4)
	}
	if err := adopter.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent()
	if err := adopter.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if counts := sent(); counts["find"] > 4 || counts["update"] > 1 {
		t.Errorf("a pass without work sends %v", counts)
	}
}

// TestThePauseIsBounded: however long a pass takes, the next begins soon.
func TestThePauseIsBounded(t *testing.T) {
	t.Parallel()
	for pass := time.Millisecond; pass < time.Minute; pass *= 2 {
		if pause := projections.PauseAfter(pass, false); pause < 500*time.Millisecond || pause > 1500*time.Millisecond {
			t.Errorf("after a pass of %s the pause is %s", pass, pause)
		}
		if pause := projections.PauseAfter(pass, true); pause > 500*time.Millisecond {
			t.Errorf("after a pass of %s that left documents the pause is %s", pass, pause)
		}
	}
}

// lateDocument returns a record's document whose _id was made so long ago.
func lateDocument(t *testing.T, r messaging.Record, age time.Duration) bson.D {
	t.Helper()
	doc := written(t, r)
	id := bson.NewObjectIDFromTimestamp(time.Now().Add(-age))
	copy(id[4:], bytes.Repeat([]byte{7}, 8)) // else two of one second are equal
	doc[0].Value = id
	return doc
}

// unpublished returns documents of events that were never published, made so long ago.
func unpublished(n int, age time.Duration) (docs []any) {
	for i := range n {
		id := bson.NewObjectIDFromTimestamp(time.Now().Add(-age))
		copy(id[8:], []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		docs = append(docs, bson.D{
			{Key: "_id", Value: id},
			{Key: "jobId", Value: "old"},
			{Key: "kind", Value: "generation"},
			{Key: "emittedAt", Value: "2020-01-01T00:00:00.000Z"},
			{Key: "event", Value: bson.D{{Key: "type", Value: "t"}, {Key: "occurredAt", Value: "o"}, {Key: "n", Value: i}}},
		})
	}
	return docs
}

// TestLateDocumentsAreFound: a worker that could not write for hours writes documents with
// _ids of that time. They are found by the next pass where they are among the newest,
// after an outage also where they are among many more, and otherwise by the sweep of what is
// older, page by page.
func TestLateDocumentsAreFound(t *testing.T) {
	t.Parallel()
	const page, recent, due, sweep = 100, 200, 100, 20
	for name, test := range map[string]struct{ younger, older, passes int }{
		"newest": {page - 1, 3 * sweep, 1},
		"outage": {page + 10, 3 * sweep, 2},
		"swept":  {recent, 2*sweep + 5, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := generation(1, "job", chapter(1))
			if err := b.WriteHistory(t.Context(), []messaging.Record{r}, false); err != nil {
				t.Fatal(err)
			}
			for _, docs := range [][]any{unpublished(test.younger, time.Hour), unpublished(test.older, 3*time.Hour)} {
				b.insert(t, b.events(), docs...)
			}
			b.insert(t, b.events(), lateDocument(t, r, 2*time.Hour))
			adopter := b.NewAdopter()
			adopter.Reach(page, recent, due, sweep)
			for range test.passes {
				if n := b.shown(t, "job"); n != 2 {
					t.Fatalf("%d documents of the event before the last pass", n)
				}
				if err := adopter.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := b.shown(t, "job"); n != 1 {
				t.Errorf("%d documents of one event", n)
			}
		})
	}
}

// TestARefusedDocumentHoldsUpNoOther: MongoDB refuses to change one document, and the
// others are adopted by the same pass. It is logged once.
func TestARefusedDocumentHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	const events = 40
	guard := mongokit.StartGuard(t)
	b := setupAt(t, guard.URI(""), patient())
	t.Cleanup(func() { _ = b.db.Drop(context.Background()) })
	records, docs := publishedAndWritten(t, events, 3)
	b.insert(t, b.events(), docs...)
	if err := b.WriteHistory(t.Context(), records, false); err != nil {
		t.Fatal(err)
	}
	refused := docs[7].(bson.D)[0].Value.(bson.ObjectID)
	guard.RefuseUpdates(refused[:])
	adopter := b.NewAdopter()
	if err := adopter.Pass(t.Context()); err != nil {
		t.Errorf("the pass ends with %v", err)
	}
	if n := b.count(t, b.events(), bson.D{}); n != events+1 {
		t.Errorf("%d documents of %d events, one of which was refused", n, events)
	}
	b.checkMetric(t, "realtime_projections_adoptions_refused_total", "", 1)
	if n := strings.Count(b.logs.String(), "refuses to adopt"); n != 1 {
		t.Errorf("logged %d times: %s", n, b.logs.String())
	}
	if _, err := b.model(t, projections.History).Mend(t.Context(), projections.Mending{Epoch: epoch}); err != nil {
		t.Errorf("the mending ends with %v", err)
	}
	guard.RefuseUpdates(nil)
	if err := adopter.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, b.events(), bson.D{}); n != events {
		t.Errorf("%d documents of %d events", n, events)
	}
}

// TestAllReleaseTheSame: of several adopted documents of one record the same one stays,
// whatever order they come in. If two processes released one each, none would be left.
func TestAllReleaseTheSame(t *testing.T) {
	t.Parallel()
	var docs []bson.Raw
	for range 3 {
		doc, err := bson.Marshal(append(written(t, generation(1, "job", chapter(1))),
			bson.E{Key: "sequence", Value: int64(1)}, bson.E{Key: "epoch", Value: epoch}, bson.E{Key: "logStoredAt", Value: stored}))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	newest := docs[2].Lookup("_id").ObjectID()
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		released := projections.Released(docs[order[0]], docs[order[1]], docs[order[2]])
		if len(released) != 2 || released[0] == newest || released[1] == newest {
			t.Errorf("in the order %v, %v are released and not all but %v", order, released, newest)
		}
	}
}
