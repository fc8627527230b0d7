package drills

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

func mongoLoss() Drill {
	return Drill{
		Name: "mongo-loss",
		Does: "The collection of history is dropped from MongoDB under traffic, rebuilt from the log beside it, compared and swapped in. " +
			"It has to be equal to the log in the end, and clients see no gap.",
		System: faults.System{Nodes: 1, Mongo: true},
		run:    runMongoLoss,
		touches: byItself(func(running Running, _ Scale) ([]string, error) {
			if running.MongoURI == "" {
				return nil, errors.New("the service has no MongoDB: MONGODB_URI is not set")
			}
			return []string{
				"drop nothing: re-create the collection of history from the log beside the existing one, with the documents that only that one has, compare it with " +
					"the log and swap it in. Until then readers have the old one, and an interruption drops what was made",
				"keep the old one beside it: realtime projections swap history --drop-old drops it",
			}, nil
		}),
	}
}

func runMongoLoss(ctx context.Context, t *faults.Trial, options Options) error {
	if !t.Running() {
		if err := prepare(ctx, t, options.Scale.events(2000), true); err != nil {
			return err
		}
	}
	h, done, err := openHistory(ctx, t)
	if err != nil {
		return err
	}
	defer done()
	if err := nobodyRebuilds(ctx, t, h); err != nil {
		return err
	}
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	said := ""
	r := rebuild.New(h.log, h.model, func(p rebuild.Progress) {
		if p.Step != said {
			said = p.Step
			t.Tell("rebuild: %s", p.Step)
		}
	})
	lostAt := time.Now()
	over, err := lose(ctx, t, h)
	if err != nil {
		return err
	}
	// These clients arrive before the rebuild is complete. If MongoDB has lost everything,
	// it has almost nothing for them, and events must still be delivered.
	if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
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
	if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
		return err
	}
	stop()
	return verifyAll(ctx, t, h)
}

// history is the log and the read model that the drill works on.
type history struct {
	log    *maintain.Log
	models faults.Models
	model  *projections.Model
}

func openHistory(ctx context.Context, t *faults.Trial) (h history, done func(), err error) {
	log, models, done, err := t.OpenStores(ctx)
	if err != nil {
		return h, nil, err
	}
	model, err := models.Model(projections.History)
	if err != nil {
		done()
		return h, nil, err
	}
	return history{log: log, models: models, model: model}, done, nil
}

// lose drops the collection. On a running system it drops nothing: the drill rehearses the
// rebuild beside the existing collection.
func lose(ctx context.Context, t *faults.Trial, h history) (over func(), err error) {
	if t.Running() {
		t.Undo("what a rebuild has left", func(ctx context.Context) error { return discard(ctx, t) })
		return t.Fault(h.model.Collection() + " is re-created"), nil
	}
	over = t.Fault(h.model.Collection() + " is dropped")
	return over, h.models.Drop(ctx, h.model.Collection())
}

// nobodyRebuilds fails if there is a shadow or an unfinished swap already.
func nobodyRebuilds(ctx context.Context, t *faults.Trial, h history) error {
	found, err := h.model.Collections(ctx)
	if err == nil && (found.Shadow || found.Unfinished) {
		err = faults.Skip("a rebuild or a swap of history is under way, or was left: finish it first, with realtime projections rebuild history --swap")
	}
	return t.Check("nobody rebuilds", "there is no shadow", err)
}

// discard drops a shadow that a rebuild has left and that was not swapped in.
func discard(ctx context.Context, t *faults.Trial) error {
	h, done, err := openHistory(ctx, t) // the drill's own connections have ended
	if err != nil {
		return err
	}
	defer done()
	found, err := h.model.Collections(ctx)
	switch {
	case err != nil:
		return err
	case found.Unfinished:
		return errors.New("the swap is not finished: run realtime projections swap history")
	case !found.Shadow:
		return nil
	}
	return rebuild.New(h.log, h.model, nil).Discard(ctx)
}

// shownDifferences bounds the differences that a failure lists.
const shownDifferences = 5

// verifyAll compares every projection with the log, once it has acknowledged the whole log.
func verifyAll(ctx context.Context, t *faults.Trial, h history) error {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	if err := awaitProjected(ctx, t); err != nil {
		return err
	}
	for _, name := range projections.Names() {
		model, err := h.models.Model(name)
		if err != nil {
			return err
		}
		compared, err := rebuild.New(h.log, model, nil).Verify(ctx, false, shownDifferences)
		if err == nil && !compared.Equal {
			err = errors.New("the documents are not a fold of the log")
		}
		if err != nil {
			return fmt.Errorf("%s in the end: %w: %+v", name, err, compared)
		}
		t.Note("%s is equal to the log in the end: %d documents of %d events, digest %s", model.Collection(), compared.Found, compared.LastSequence, compared.Digest)
	}
	t.Mark("verified")
	return nil
}
