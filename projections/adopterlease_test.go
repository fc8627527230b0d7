package projections_test

import (
	"context"
	"log/slog"
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

// before returns a second store on b's database. It calls f once, before it sends the
// first such command on the collection.
func (b bench) before(t *testing.T, command, collection string, f func()) *projections.Store {
	t.Helper()
	var once sync.Once
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if name, _ := e.Command.Lookup(command).StringValueOK(); name == collection {
			once.Do(f) // the command is sent once this returns
		}
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
	return store
}

// endLease ends the lease of whichever adopter has it.
func (b bench) endLease(t *testing.T) {
	t.Helper()
	leases := b.db.Collection("novel_projection_adoption")
	if _, err := leases.UpdateMany(context.Background(), bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: time.Time{}}}}}); err != nil {
		t.Error(err)
	}
}

// TestAdopterPausedAtWork: an adopter is paused before it adopts a document. Meanwhile
// its lease ends, the worker writes the same event again, and another adopter takes that
// document for the record, and has nothing more to do. Then the first one goes on: the
// record has two documents, until it has the lease again.
func TestAdopterPausedAtWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := generation(1, "job", chapter(1))
	if err := b.WriteHistory(t.Context(), []messaging.Record{r}, false); err != nil {
		t.Fatal(err)
	}
	b.insert(t, b.events(), written(t, r))
	other := b.NewAdopter()
	paused := b.before(t, "update", b.events().Name(), func() {
		b.endLease(t)
		again := r
		again.StoredAt = again.StoredAt.Add(time.Millisecond)
		b.insert(t, b.events(), written(t, again))
		for range 3 {
			if err := other.Pass(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}).NewAdopter()
	for range 3 {
		if err := paused.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sequenced := b.count(t, b.events(), bson.D{{Key: "sequence", Value: bson.D{{Key: "$gt", Value: 0}}}})
	if all := b.shown(t, "job"); sequenced != 1 || all != 2 {
		t.Errorf("%d of %d documents are the record's, want 1 of 2", sequenced, all)
	}
}

// TestAdopterInterrupted: an adopter ends after it has adopted a document and before it
// removes the projection's. The next pass removes it, in whatever form the worker and the
// envelope have the time.
func TestAdopterInterrupted(t *testing.T) {
	t.Parallel()
	date := func(doc bson.D) {
		for i, field := range doc {
			if field.Key == "emittedAt" {
				doc[i].Value = stored
			}
		}
	}
	for name, test := range map[string]struct {
		emittedAt string
		form      func(bson.D)
	}{
		"text":   {messaging.FormatTime(stored), func(bson.D) {}},
		"date":   {messaging.FormatTime(stored), date},
		"offset": {stored.In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), func(bson.D) {}},
		"both":   {stored.In(time.FixedZone("", -3600)).Format(time.RFC3339Nano), date},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := generation(1, "job", chapter(1))
			r.EmittedAt = test.emittedAt
			history := []messaging.Record{r}
			if err := b.WriteHistory(t.Context(), history, false); err != nil {
				t.Fatal(err)
			}
			doc := written(t, r)
			test.form(doc)
			b.insert(t, b.events(), doc)
			ctx, die := context.WithCancel(t.Context())
			if err := b.before(t, "delete", b.events().Name(), die).NewAdopter().Pass(ctx); err == nil {
				t.Error("the adopter was not interrupted")
			}
			// The driver may have sent the deletion nevertheless.
			if err := b.WriteHistory(t.Context(), history, false); err != nil {
				t.Fatal(err)
			}
			b.endLease(t)
			if n := b.shown(t, "job"); n != 2 {
				t.Fatalf("%d documents after the interruption, want 2", n)
			}
			if err := b.NewAdopter().Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := b.shown(t, "job"); n != 1 {
				t.Errorf("%d documents of one event", n)
			}
		})
	}
}

// A pass works on no more jobs than it has noted for the next.
func TestAPassNotesAllItsJobs(t *testing.T) {
	t.Parallel()
	for _, jobs := range []int{0, 1, 1000, 1500} {
		if noted, pairs := projections.WorkedOn(jobs); noted != min(jobs, 1000) || pairs != noted {
			t.Errorf("of %d jobs a pass notes %d, and works on %d pairs", jobs, noted, pairs)
		}
	}
}
