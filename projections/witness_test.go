package projections_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

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
			case <-time.After(time.Minute):
				t.Error("it does not go on after the swap")
			}
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
