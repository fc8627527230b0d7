package projections_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
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

// atCommand returns a store on the database of a bench that calls do once, before its first
// command of a name on a collection.
func atCommand(t *testing.T, b bench, command, collection string, do func()) *projections.Store {
	t.Helper()
	var once sync.Once
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if on, _ := e.Command.Lookup(command).StringValueOK(); on == collection {
			once.Do(do)
		}
	}}
	return watched(t, b, monitor)
}

// watched returns a store on the database of a bench whose commands a monitor sees.
func watched(t *testing.T, b bench, monitor *event.CommandMonitor) *projections.Store {
	t.Helper()
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

// checkNotRestored checks that a store refuses to restore a head, and that no job has one.
func checkNotRestored(t *testing.T, b bench, store *projections.Store, head messaging.Record) {
	t.Helper()
	if err := store.Restore(t.Context(), head); err == nil {
		t.Error("no error")
	}
	if n := b.count(t, b.heads(), bson.D{}); n != 0 {
		t.Errorf("%d heads", n)
	}
}

// checkRestored checks that the head of the job named job is there with its snapshot.
func checkRestored(t *testing.T, b bench) {
	t.Helper()
	if found, exists, err := b.Head(t.Context(), "job"); err != nil || !exists || string(found.Snapshot) != `{"n":1}` {
		t.Errorf("head %+v, %t, %v", found, exists, err)
	}
}

// The head of a job that was erased while the head waited to be restored stays away, however
// far the restoration was.
func TestOmittedHeadOfAnErasedJobStaysAway(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]struct{ command, collection string }{
		"erased before the look":              {"find", "novel_projection_omissions"},
		"erased before the head":              {"insert", "novel_job_heads"},
		"erased after the head":               {"update", "novel_projection_omissions"},
		"erased while an earlier head stands": {"update", "novel_job_heads"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			head := status(7, "job", "running", `{"n":1}`)
			if when.command == "update" && when.collection == "novel_job_heads" {
				b.project(t, newFeed(status(5, "job", "queued", `null`)))
			}
			if err := b.Omit(t.Context(), head); err != nil {
				t.Fatal(err)
			}
			erased := false
			store := atCommand(t, b, when.command, when.collection, func() {
				erased = true
				if _, err := b.EraseJob(t.Context(), "job", head.Position, nil); err != nil {
					t.Error(err)
				}
			})
			if err := store.Restore(t.Context(), head); err != nil {
				t.Fatal(err)
			}
			if !erased {
				t.Fatalf("no %s on %s", when.command, when.collection)
			}
			if n := b.count(t, b.heads(), bson.D{}); n != 0 {
				t.Errorf("%d heads of the erased job", n)
			}
			if n := b.count(t, b.db.Collection("novel_projection_omissions"), bson.D{}); n != 0 {
				t.Errorf("%d notes of the erased job", n)
			}
		})
	}
}

// A head that two processes restore stays, and is not listed as omitted.
func TestHeadIsRestoredByTwo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := status(7, "job", "running", `{"n":1}`)
	if err := b.Omit(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	other := atCommand(t, b, "update", "novel_projection_omissions", func() {
		if err := b.Restore(t.Context(), head); err != nil {
			t.Error(err)
		}
	})
	for _, store := range []*projections.Store{other, b.Store} {
		if err := store.Restore(t.Context(), head); err != nil {
			t.Fatal(err)
		}
	}
	checkRestored(t, b)
	if omitted, err := b.Omitted(t.Context()); err != nil || len(omitted) != 0 {
		t.Errorf("omitted %+v, %v", omitted, err)
	}
}

// A head whose note was replaced by that of another omission is not written: whether its job
// was erased cannot be said.
func TestHeadWithoutItsNoteIsNotWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head, later := status(7, "job", "running", `{"n":1}`), status(1007, "other", "running", `{"n":1}`)
	for _, record := range []messaging.Record{head, later} {
		if err := b.Omit(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	checkNotRestored(t, b, b.Store, head)
	if err := b.Restore(t.Context(), later); err != nil {
		t.Error(err)
	}
}

// A head whose note is replaced after the head was written stays.
func TestHeadStaysWhenItsNoteIsReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head, later := status(7, "job", "running", `{"n":1}`), status(1007, "other", "running", `{"n":1}`)
	if err := b.Omit(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	store := atCommand(t, b, "update", "novel_projection_omissions", func() {
		if err := b.Omit(t.Context(), later); err != nil {
			t.Error(err)
		}
	})
	if err := store.Restore(t.Context(), head); err == nil {
		t.Error("no error")
	}
	checkRestored(t, b)
	if err := b.Restore(t.Context(), later); err != nil {
		t.Error(err)
	}
}

// The head of an erased job stays away also if the note of another omission has taken the
// place of its note before the look at it.
func TestErasedHeadStaysAwayWhenItsNoteIsReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head, later := status(7, "job", "running", `{"n":1}`), status(1007, "other", "running", `{"n":1}`)
	if err := b.Omit(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	store := atCommand(t, b, "update", "novel_projection_omissions", func() {
		if _, err := b.EraseJob(t.Context(), "job", head.Position, nil); err != nil {
			t.Error(err)
		}
		if err := b.Omit(t.Context(), later); err != nil {
			t.Error(err)
		}
	})
	checkNotRestored(t, b, store, head)
	for _, store := range []*projections.Store{b.Store, store} {
		if err := store.Restore(t.Context(), later); err != nil {
			t.Error(err)
		}
	}
	if omitted, err := b.Omitted(t.Context()); err != nil || len(omitted) != 0 {
		t.Errorf("omitted %+v, %v", omitted, err)
	}
}

// An omitted head is listed until the job has a later one: whose sequence is higher in the
// same epoch, or which was stored later in another. A head without its snapshot is listed.
// All notes together take three requests.
func TestOmissionsAreListedByTheHeadsThatFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []string
	for n, test := range []struct {
		job, epoch string
		by         int // how far the sequence of the head is after that of the note
		after      time.Duration
		bare       bool
		omitted    bool
	}{
		{job: "an earlier head", epoch: epoch, by: -1, after: -time.Second, omitted: true},
		{job: "a later head", epoch: epoch, by: 1, after: time.Second},
		{job: "a head of an earlier epoch", epoch: "before", by: 500, after: -time.Second, omitted: true},
		{job: "a head of a later epoch", epoch: "after", by: -5, after: time.Second},
		{job: "the head", epoch: epoch},
		{job: "the head without its snapshot", epoch: epoch, bare: true, omitted: true},
	} {
		record := status(uint64(100+n), test.job, "running", `{"n":1}`)
		if err := b.Omit(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		head := bson.D{
			{Key: "_id", Value: test.job},
			{Key: "jobId", Value: test.job},
			{Key: "status", Value: "queued"},
			{Key: "sequence", Value: int64(100 + n + test.by)},
			{Key: "epoch", Value: test.epoch},
			{Key: "updatedAt", Value: record.StoredAt.Add(test.after)},
		}
		if test.bare {
			head = append(head, bson.E{Key: "omitted", Value: true})
		}
		b.insert(t, b.heads(), head)
		if test.omitted {
			want = append(want, test.job)
		}
	}
	var requests atomic.Int32
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "find" {
			requests.Add(1)
		}
	}}
	omitted, err := watched(t, b, monitor).Omitted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var jobs []string
	for _, o := range omitted {
		jobs = append(jobs, o.JobID)
	}
	slices.Sort(jobs)
	slices.Sort(want)
	if !slices.Equal(jobs, want) {
		t.Errorf("omitted are %q, want %q", jobs, want)
	}
	if n := requests.Load(); n > 3 {
		t.Errorf("%d requests", n)
	}
}

// A head without its snapshot says so, in no other shape.
func TestHeadWithoutItsSnapshotIsMarked(t *testing.T) {
	t.Parallel()
	head := projections.Heads(status(7, "job", "running", `{"n":1}`))
	for shape, doc := range head {
		marked := slices.ContainsFunc(doc, func(e bson.E) bool { return e.Key == "omitted" })
		if marked != (shape == len(head)-1) {
			t.Errorf("shape %d: %v", shape, doc)
		}
	}
}
