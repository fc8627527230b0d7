package drills

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/projections"
	"github.com/letswriteabook/realtime/recovery/faults"
	"github.com/letswriteabook/realtime/recovery/rebuild"
)

func mongoLoss() Drill {
	return Drill{
		Name: "mongo-loss",
		Does: "The collection of history is dropped from MongoDB under traffic, rebuilt from the log beside it, compared and swapped in. " +
			"It has to be equal to the log in the end, and clients see no gap.",
		System: faults.System{Nodes: 1, Mongo: true},
		run:    runMongoLoss,
	}
}

func runMongoLoss(ctx context.Context, t *faults.Trial, scale Scale) error {
	if err := prepare(ctx, t, scale.events(2000), true); err != nil {
		return err
	}
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	models, disconnect, err := t.OpenModels(ctx)
	if err != nil {
		return err
	}
	defer disconnect()
	model, err := models.Model(projections.History)
	if err != nil {
		return err
	}
	said := ""
	r := rebuild.New(log, model, func(p rebuild.Progress) {
		if p.Step != said {
			said = p.Step
			t.Tell("rebuild: %s", p.Step)
		}
	})
	over := t.Fault(model.Collection() + " is dropped")
	lostAt := time.Now()
	if err := models.Drop(ctx, model.Collection()); err != nil {
		return fmt.Errorf("drop %s: %w", model.Collection(), err)
	}
	// Clients that come before the rebuild is there: MongoDB has next to nothing for
	// them, and events go on.
	if err := t.Outbox.AwaitMore(ctx, afterEvents); err != nil {
		return err
	}
	t.Follow(ctx, "before-the-rebuild")
	began := time.Now()
	if err := r.Fill(ctx, false); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	filled := time.Now()
	t.Mark("rebuilt")
	swapped, err := r.Swap(ctx, shownDifferences)
	if err != nil {
		return fmt.Errorf("%w: %+v", err, swapped.Compared)
	}
	over()
	t.Mark("compared and swapped in")
	t.Follow(ctx, "after-the-swap")
	t.Recovered(time.Since(lostAt))
	t.Measure("documents of the shadow, equal to the log", float64(swapped.Compared.Found), "")
	t.Measure("rebuilt a second, beside the traffic", float64(swapped.Compared.Found)/filled.Sub(began).Seconds(), "events/s")
	t.Measure("projection stood still for the swap", swapped.PausedSeconds*1000, "ms")
	if err := t.Outbox.AwaitMore(ctx, afterEvents); err != nil {
		return err
	}
	stop()
	return verifyAll(ctx, t, log, models.Store)
}

// shownDifferences is how many differences a failure names.
const shownDifferences = 5

// verifyAll compares every projection with the log, once it has all of it.
func verifyAll(ctx context.Context, t *faults.Trial, log rebuild.Log, store *projections.Store) error {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	if err := awaitProjected(ctx, t); err != nil {
		return err
	}
	for _, name := range projections.Names() {
		model, err := store.Model(name)
		if err != nil {
			return err
		}
		compared, err := rebuild.New(log, model, nil).Verify(ctx, false, shownDifferences)
		if err == nil && !compared.Equal {
			err = errors.New("it is no fold of the log")
		}
		if err != nil {
			return fmt.Errorf("%s in the end: %w: %+v", name, err, compared)
		}
		t.Note("%s is equal to the log in the end: %d documents of %d events, digest %s", model.Collection(), compared.Found, compared.LastSequence, compared.Digest)
	}
	t.Mark("verified")
	return nil
}
