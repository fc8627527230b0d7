package projections_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
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

// A collection that was dropped or emptied takes no batch any more, until a shadow
// is in its place.
func TestALostCollectionIsNotAcknowledgedInto(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(context.Context, bench) error{
		"dropped": func(ctx context.Context, b bench) error { return b.events().Drop(ctx) },
		"emptied": func(ctx context.Context, b bench) error {
			_, err := b.events().DeleteMany(ctx, bson.D{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			first, second := status(1, "job", "running", "{}"), status(2, "job", "running", "{}")
			b.project(t, newFeed(first))
			model, err := b.Model(projections.History)
			if err != nil {
				t.Fatal(err)
			}
			if lost, err := model.Lost(t.Context(), false); lost || err != nil {
				t.Errorf("lost before it was: %v", err)
			}
			if err := lose(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			log := newFeed(second)
			log.begun = true
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- b.Run(ctx, log) }() // stopped by cancel
			eventually(t, "the batch is refused", func() bool { return log.failures.Load() > 2 })
			if lost, err := model.Lost(t.Context(), false); !lost || err != nil {
				t.Errorf("not lost: %v", err)
			}
			if err := b.Standing(); !errors.Is(err, projections.ErrLost) || !strings.Contains(err.Error(), "the projection history stands") {
				t.Errorf("the projection stands: %v", err)
			}
			if !strings.Contains(b.logs.String(), projections.ErrLost.Error()) {
				t.Errorf("the log does not say what to do: %s", b.logs)
			}
			if err := model.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := model.Apply(t.Context(), []messaging.Record{first}); err != nil {
				t.Fatal(err)
			}
			if _, err := model.Exchange(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case <-log.applied:
			case <-time.After(patience):
				t.Error("it does not go on after the swap")
			}
			eventually(t, "the projection no longer stands", func() bool { return b.Standing() == nil })
			cancel()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if n := b.count(t, b.events(), bson.D{}); n != 2 {
				t.Errorf("%d documents, want 2", n)
			}
		})
	}
}

// A batch may be inserted before a swap and acknowledged after it. It is in the
// collection that is there then.
func TestABatchAcrossASwapIsInTheNewCollection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	early, late := status(1, "early", "running", "{}"), status(2, "late", "running", "{}")
	model, err := b.Model(projections.History)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := model.Apply(t.Context(), []messaging.Record{early}); err != nil {
		t.Fatal(err)
	}
	// Commands on history come from one goroutine, so that these need no lock.
	inserted, swapped := false, false
	watch := &event.CommandMonitor{Started: func(ctx context.Context, command *event.CommandStartedEvent) {
		if !bytes.Contains(command.Command, []byte("novel_job_events")) {
			return
		}
		switch {
		case command.CommandName == "insert" && bytes.Contains(command.Command, []byte("late")):
			inserted = true
		case strings.HasPrefix(command.CommandName, "find") && inserted && !swapped:
			swapped = true
			if _, err := model.Exchange(ctx); err != nil {
				t.Errorf("swap: %v", err)
			}
		}
	}}
	client, err := mongo.Connect(options.Client().ApplyURI(mongokit.URI()).SetMonitor(watch))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	watched := b
	watched.Store, err = projections.New(client.Database(b.db.Name()), patient(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	log := newFeed(early, late)
	log.maxSize = 1
	watched.project(t, log)
	if n := b.count(t, b.events(), bson.D{}); n != 2 || !swapped {
		t.Errorf("%d documents, want 2; swapped: %v", n, swapped)
	}
}
