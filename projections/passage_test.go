package projections_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/projections"
)

// turns are the functions that wait for the turn of a projection's goroutine.
type turns map[string]func(context.Context)

func (t turns) inTurn(consumer string, f func(context.Context)) { t[consumer] = f }

// take gives a projection its turn.
func (t turns) take(ctx context.Context, consumer string) {
	f := t[consumer]
	delete(t, consumer)
	f(ctx)
}

// A canary is written, read back and removed in the turn of its projection. No collection of
// a read model changes, and nothing is kept, also of a process that was killed.
func TestPassage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.project(t, newFeed(status(1, "job", "running", "{}")))
	canaries := b.events().Database().Collection("novel_projection_canary")
	for id, at := range map[string]time.Time{"killed": time.Now().Add(-2 * time.Hour), "other": time.Now()} {
		if _, err := canaries.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "at", Value: bson.NewDateTimeFromTime(at)}}); err != nil {
			t.Fatal(err)
		}
	}
	all := func(c *mongo.Collection, filter bson.D) int64 {
		t.Helper()
		n, err := c.CountDocuments(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := []int64{all(b.events(), bson.D{}), all(b.heads(), bson.D{})}
	waiting := turns{}
	for _, name := range projections.Names() {
		passage := b.Passage(name, waiting.inTurn)
		for _, text := range []string{"a", "b", "c"} {
			if err := passage.Exercise(text, time.Hour, time.Minute); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			waiting.take(t.Context(), name)
		}
	}
	if after := []int64{all(b.events(), bson.D{}), all(b.heads(), bson.D{})}; !slices.Equal(after, before) {
		t.Errorf("documents %v, before %v", after, before)
	}
	if n := all(canaries, bson.D{}); n != 1 || all(canaries, bson.D{{Key: "_id", Value: "other"}}) != 1 {
		t.Errorf("%d canaries are left, want that of the other process", n)
	}
}

// A projection that cannot insert is named once two canaries have failed, unless the backends
// have only been well since; one that does not take its turn is named after the patience.
func TestPassageThatFails(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	b := setupAt(t, guard.URI(mongokit.DatabaseName(t)), projections.DefaultConfig())
	waiting := turns{}
	passage := b.Passage(projections.History, waiting.inTurn)
	exercise := func(well, patience time.Duration) error { return passage.Exercise("text", well, patience) }
	guard.Allow(func(command string) bool { return command != "insert" && mongokit.ReadWrite(command) })
	for range 2 {
		if err := exercise(time.Hour, time.Minute); err != nil {
			t.Errorf("too early: %v", err)
		}
		waiting.take(t.Context(), projections.History)
	}
	if err := exercise(time.Hour, time.Minute); !errors.Is(err, projections.ErrCanary) || !strings.Contains(err.Error(), "cannot insert into") {
		t.Errorf("after two failures: %v", err)
	}
	if err := exercise(0, time.Minute); err != nil {
		t.Errorf("failures count although the backends were not well at that time: %v", err)
	}
	if err := exercise(time.Hour, 0); !errors.Is(err, projections.ErrCanary) || !strings.Contains(err.Error(), "has not taken its turn") {
		t.Errorf("without a turn: %v", err)
	}
	guard.Allow(mongokit.ReadWrite)
	waiting.take(t.Context(), projections.History)
	if err := exercise(time.Hour, time.Minute); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}
