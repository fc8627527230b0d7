package projections_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/projections"
)

// A collection that was put aside comes back whole, with what was written where it
// had been: by another writer, and by the projection, which has had nothing of that
// acknowledged.
func TestPutAsideAndBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := status(1, "job", "running", "{}"), status(2, "job", "running", "{}")
	b.project(t, newFeed(first))
	model := b.model(t, projections.History)
	aside, err := model.PutAside(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := model.PutAside(t.Context()); !errors.Is(err, projections.ErrSwapUnfinished) {
		t.Errorf("put aside twice: %v", err)
	}
	b.insert(t, b.events(), bson.D{{Key: "_id", Value: "stray"}, {Key: "jobId", Value: "job"}, {Key: "emittedAt", Value: "2020"}})
	log := newFeed(second)
	log.begun = true
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, log) }() // stopped by cancel
	eventually(t, "the batch is refused", func() bool { return log.failures.Load() > 2 })
	extent := projections.Extent{Epoch: epoch, First: 1, Last: 2}
	for range 2 { // A repeat does nothing.
		if err := model.PutBack(t.Context(), aside, extent); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-log.applied:
	case <-time.After(time.Minute):
		t.Error("the projection does not go on")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := b.count(t, b.events(), bson.D{}); n != 3 {
		t.Errorf("%d documents, want 3", n)
	}
	found, err := model.Collections(t.Context())
	if err != nil || found.Unfinished || !found.Present {
		t.Errorf("in the end: %+v, %v", found, err)
	}
}

// What was put aside is replaced by a rebuild, with what only it has; it is not put
// back after that.
func TestPutAsideAndSwapped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := someRecords()
	b.project(t, newFeed(records...))
	b.insert(t, b.events(), bson.D{{Key: "_id", Value: "old"}, {Key: "jobId", Value: "job-1"}, {Key: "emittedAt", Value: "2020"}})
	model := b.model(t, projections.History)
	aside, err := model.PutAside(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(model.Prepare(t.Context()), model.Apply(t.Context(), records)); err != nil {
		t.Fatal(err)
	}
	if _, err := model.CopyKept(t.Context(), wholeExtent(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Settle(t.Context(), wholeExtent()); err != nil {
		t.Fatal(err)
	}
	if err := model.PutBack(t.Context(), aside, wholeExtent()); err != nil {
		t.Fatal(err)
	}
	if found := audit(t, model, false, wholeExtent(), records); !found.Equal() || found.Kept != 1 {
		t.Errorf("%+v", found)
	}
}

func TestPutAsideNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.model(t, projections.History).PutAside(t.Context()); !errors.Is(err, projections.ErrNoCollection) {
		t.Errorf("put aside what is not there: %v", err)
	}
}
