package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

func rebuildRows() []Row {
	return []Row{
		{Number: 22, Title: "history dropped and rebuilt during live traffic", System: System{Nodes: 1, Mongo: true, Outbox: 120_000}, Run: rebuildLive},
		{Number: 24, Title: "log saved, deleted and restored", Limit: 30 * time.Second, InCI: true, System: System{Nodes: 1, Mongo: true}, Run: restoreLog},
	}
}

// rebuildLive drops a collection, and rebuilds and swaps both projections while events are
// published and clients follow. The shadow, and in the end the collections, must equal what
// the projection makes of the log.
func rebuildLive(ctx context.Context, t *Trial) error {
	log, models, done, err := t.OpenStores(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := t.PublishSome(ctx, t.Scaled("events", 100_000, 2_000, 500)); err != nil {
		return err
	}
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	stop := t.Load(100)
	defer stop()
	began := time.Now()
	if err := models.Drop(ctx, historyCollection); err != nil {
		return err
	}
	for _, name := range projections.Names() {
		swapped, err := t.rebuild(ctx, log, models, name, false, func() error { return nil })
		if err != nil {
			return err
		}
		t.Measure(name+": documents of the shadow, equal to the log", float64(swapped.Compared.Found), "")
	}
	t.Recovered(time.Since(began))
	t.Follow(ctx, "meanwhile")
	stop()
	return t.verifyModels(ctx)
}

// rebuild rebuilds a projection, calls between, and swaps the shadow in. If again is set, it
// begins with the first record, also if an earlier rebuild was interrupted.
func (t *Trial) rebuild(ctx context.Context, log *maintain.Log, models Models, name string, again bool, between func() error) (swapped rebuild.Swapped, err error) {
	model, err := models.Model(name)
	if err != nil {
		return swapped, err
	}
	r := rebuild.New(log, model, nil)
	if err := r.Fill(ctx, again); err != nil {
		return swapped, fmt.Errorf("rebuild %s: %w", name, err)
	}
	if err := between(); err != nil {
		return swapped, err
	}
	if swapped, err = r.Swap(ctx, 5); err != nil {
		return swapped, fmt.Errorf("%w: %+v", err, swapped.Compared)
	}
	t.Measure(name+" stood still for the swap", swapped.PausedSeconds*1000, "ms")
	return swapped, nil
}

// restoreLog saves the log while it is quiet, deletes it, publishes while there is no log,
// and restores it. Connected clients must be told of the new epoch, and receive everything
// again.
func restoreLog(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, 300); err != nil {
		return err
	}
	if err := t.AwaitClients(ctx); err != nil {
		return err
	}
	t.ExpectEpoch()
	archive, done, err := t.OpenArchive(ctx)
	if err != nil {
		return err
	}
	defer done()
	dir := filepath.Join(t.dir, "backup")
	quiet := func(backup.Progress) {}
	if _, err := backup.Save(ctx, archive, dir, quiet); err != nil {
		return err
	}
	for _, stream := range archive.Streams() {
		if err := archive.Remove(ctx, stream); err != nil {
			return err
		}
	}
	stop := t.Load(100)
	defer stop()
	if err := wait.For(ctx, time.Duration(t.Scaled("seconds without a log", 10, 3, 1))*time.Second); err != nil {
		return err
	}
	since := time.Now()
	restored, err := backup.Restore(ctx, archive, dir, false, quiet)
	if err != nil {
		return err
	}
	if restored.Epoch == restored.PreviousEpoch {
		return errors.New("the restored log has the epoch of the backup")
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	if err := t.AwaitEpoch(ctx); err != nil {
		return err
	}
	t.Measure("until every client was told of the new epoch", float64(time.Since(since).Milliseconds()), "ms")
	return nil
}
