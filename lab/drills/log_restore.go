package drills

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/operations/backup"
)

func logRestore() Drill {
	return Drill{
		Name: "log-restore",
		Does: "The log is saved, deleted and restored while a producer goes on publishing. It comes back in a new epoch: every client is told " +
			"novel.gap and gets everything again, and what was published meanwhile is stored once the log is back.",
		Limit:  30 * time.Second,
		System: faults.System{Nodes: 1, Mongo: true, Gateways: 2},
		run:    runLogRestore,
		touches: never("what is published between the backup and the deletion would be lost, by the drill itself; " +
			"realtime backup, realtime restore --check and a restore into a NATS server of its own rehearse the same"),
	}
}

func runLogRestore(ctx context.Context, t *faults.Trial, options Options) error {
	if err := prepare(ctx, t, options.Scale.events(2000), false); err != nil {
		return err
	}
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	// Events appended after the backup would be lost, as expected.
	stop()
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
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
	dir := filepath.Join(t.Lab.Dir(), "backup")
	t.Tell("save the log")
	saving := time.Now()
	saved, err := backup.Save(ctx, archive, dir, func(backup.Progress) {})
	if err != nil {
		return err
	}
	t.Mark("log saved")
	t.Measure("time to save", float64(time.Since(saving).Milliseconds()), "ms")
	over := t.Fault("the log is deleted")
	for _, stream := range archive.Streams() {
		if err := archive.Remove(ctx, stream); err != nil {
			return err
		}
	}
	stop = t.Load(trafficRate)
	defer stop()
	if err := wait.For(ctx, options.Scale.outage()); err != nil {
		return err
	}
	since := time.Now()
	restored, err := backup.Restore(ctx, archive, dir, false, func(backup.Progress) {})
	if err != nil {
		return err
	}
	over()
	t.Measure("time to restore", float64(time.Since(since).Milliseconds()), "ms")
	if restored.Epoch == restored.PreviousEpoch {
		return errors.New("the restored log has the epoch of the backup")
	}
	for _, stream := range saved.Streams {
		t.Note("%s: %d messages saved and restored", stream.Name, stream.Messages)
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	t.Mark("publishing goes on")
	if err := t.AwaitEpoch(ctx); err != nil {
		return err
	}
	if err := t.AwaitClients(ctx); err != nil {
		return err
	}
	recovered(t, "clients have all again", since)
	t.Note("epoch %s became %s; every client was told for each of its jobs", restored.PreviousEpoch, restored.Epoch)
	if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
		return fmt.Errorf("after the restore: %w", err)
	}
	return nil
}
