package projections_test

import (
	"context"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// TestALostConsumerDoublesNothing: a consumer whose state was lost gets all records again,
// as if for the first time. Those that workers' documents were adopted for are not written
// a second time.
func TestALostConsumerDoublesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records, docs := publishedAndWritten(t, 40, 2)
	log := newFeed(records...)
	log.maxSize = 16
	b.project(t, log)
	b.insert(t, b.events(), docs[:30]...)
	b.endLease(t) // the projection that has ended may have it still
	if err := b.NewAdopter().Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, b.events(), bson.D{}); n != len(records) {
		t.Fatalf("%d documents of %d events", n, len(records))
	}
	again := newFeed(records...)
	again.maxSize = 16
	b.project(t, again)
	if n := b.count(t, b.events(), bson.D{}); n != len(records) {
		t.Errorf("%d documents of %d events after the consumer was lost", n, len(records))
	}
}

// inEpoch returns the records as a new epoch of the log has them.
func inEpoch(epoch string, records []messaging.Record) []messaging.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Epoch = epoch
	}
	return records
}

// TestANewEpochDoublesNothing: the log goes on in a new epoch with most of its records, and
// they are projected again. What the earlier epoch has of them is removed, adopted
// documents are adopted for the new epoch, and the documents of lost events stay.
func TestANewEpochDoublesNothing(t *testing.T) {
	t.Parallel()
	const left = 30 // of 40 records
	for name, mend := range map[string]bool{"projected": false, "mended": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			records, docs := publishedAndWritten(t, 40, 2)
			log := newFeed(records...)
			log.maxSize = 16
			b.project(t, log)
			b.insert(t, b.events(), docs[:20]...)
			b.endLease(t) // the projection that has ended may have it still
			if err := b.NewAdopter().Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			renewed := inEpoch("Ep0chTwo", records[:left])
			// In place of a lost record comes another event.
			other := generation(left+1, "job0", `{"type":"new","occurredAt":"2026-03-01T12:00:00.000Z"}`)
			renewed = append(renewed, inEpoch("Ep0chTwo", []messaging.Record{other})...)
			want := len(records) + 1
			if mend {
				// As the version before has left it.
				if err := b.WriteHistory(t.Context(), renewed, false); err != nil {
					t.Fatal(err)
				}
				model := b.model(t, projections.History)
				found, err := model.Mend(t.Context(), projections.Mending{Epoch: "Ep0chTwo", Dry: true})
				if err != nil || found.Doubled != left {
					t.Errorf("%+v, %v; want %d doubled", found, err, left)
				}
				if found, err = model.Mend(t.Context(), projections.Mending{Epoch: "Ep0chTwo"}); err != nil || found.Doubled != left {
					t.Errorf("mended %+v, %v; want %d", found, err, left)
				}
			} else {
				again := newFeed(renewed...)
				again.begun, again.maxSize = true, 16
				b.project(t, again)
			}
			if n := b.count(t, b.events(), bson.D{}); n != want {
				t.Errorf("%d documents of %d events", n, want)
			}
			if n := b.count(t, b.events(), bson.D{{Key: "epoch", Value: epoch}}); n != len(records)-left {
				t.Errorf("%d documents of the earlier epoch, want %d", n, len(records)-left)
			}
			page := make([]messaging.Record, 0, left)
			for _, job := range []string{"job0", "job1"} {
				part, err := b.ReadAfter(t.Context(), job, messaging.Position{Epoch: "Ep0chTwo"}, 100)
				if err != nil {
					t.Fatal(err)
				}
				page = append(page, part...)
			}
			slices.SortFunc(page, func(a, b messaging.Record) int { return int(a.Sequence) - int(b.Sequence) })
			if len(page) != len(renewed) {
				t.Fatalf("%d records of the new epoch, want %d", len(page), len(renewed))
			}
			for i, r := range page {
				if want := renewed[i]; r.Position != want.Position || string(r.Body) != string(want.Body) || r.EmittedAt != want.EmittedAt || !r.StoredAt.Equal(want.StoredAt) {
					t.Errorf("record %d is %+v", i, r)
				}
			}
			if n := b.count(t, b.events(), bson.D{{Key: "_id", Value: bson.D{{Key: "$type", Value: "objectId"}}}, {Key: "epoch", Value: "Ep0chTwo"}}); n != 20 {
				t.Errorf("%d adopted documents in the new epoch, want 20", n)
			}
		})
	}
}

// TestRefusalsLeaveNoUpdateOut: of the adopted documents of an earlier epoch the server
// refuses to change several of one command, and leaves out the others. All others are
// adopted for the new epoch, and no record of it is without a document.
func TestRefusalsLeaveNoUpdateOut(t *testing.T) {
	t.Parallel()
	const events, refused = 14, 5 // FerretDB takes 16 updates with a command
	guard := mongokit.StartGuard(t)
	b := setupAt(t, guard.URI(""), patient())
	t.Cleanup(func() { _ = b.db.Drop(context.Background()) })
	records, docs := publishedAndWritten(t, events, 1)
	for n := range refused {
		doc := docs[2*n].(bson.D)
		id := doc[0].Value.(bson.ObjectID)
		copy(id[4:], "refused")
		doc[0].Value = id
	}
	b.insert(t, b.events(), docs...)
	if err := b.WriteHistory(t.Context(), records, false); err != nil {
		t.Fatal(err)
	}
	if err := b.NewAdopter().Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, b.events(), bson.D{}); n != events {
		t.Fatalf("%d documents of %d events before the new epoch", n, events)
	}
	guard.RefuseUpdates([]byte("refused"))
	renewed := inEpoch("Ep0chTwo", records)
	if err := b.WriteHistory(t.Context(), renewed, false); err != nil {
		t.Fatal(err)
	}
	if err := b.Supersede(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	page, err := b.ReadAfter(t.Context(), "job0", messaging.Position{Epoch: "Ep0chTwo"}, 100)
	if err != nil || len(page) != events {
		t.Errorf("%d records of the new epoch, want %d: %v", len(page), events, err)
	}
	adopted := bson.D{{Key: "logStoredAt", Value: bson.D{{Key: "$exists", Value: true}}}, {Key: "epoch", Value: "Ep0chTwo"}}
	if n := b.count(t, b.events(), adopted); n != events-refused {
		t.Errorf("%d documents adopted for the new epoch, want %d", n, events-refused)
	}
	b.checkMetric(t, "realtime_projections_adoptions_refused_total", "", refused)
}
