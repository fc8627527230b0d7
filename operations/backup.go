package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/erasure"
)

// Backup writes a backup of the log into a folder.
func (o *Operator) Backup(ctx context.Context, dir string, report Report) (backup.Manifest, error) {
	streams, err := archive.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return backup.Manifest{}, err
	}
	return backup.Save(ctx, streams, dir, func(p backup.Progress) { report(p.Step, p.Done, p.Total) })
}

// RestoreRequest describes a restore.
type RestoreRequest struct {
	// Dir is the folder of the backup.
	Dir string
	// Replace replaces the existing log after the backup was restored beside it. InPlace
	// deletes the existing log first, for a server that has no room for both.
	Replace, InPlace bool
	// Resume is the command that continues it after an interruption.
	Resume string
}

// Restore re-creates the log from a backup, in a new epoch, without what was erased
// after the backup was made.
func (o *Operator) Restore(ctx context.Context, request RestoreRequest, report Report) (restored backup.Restored, err error) {
	streams, err := archive.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return restored, err
	}
	trail, err := audit.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return restored, err
	}
	if _, err := backup.Load(request.Dir); err != nil { // before the server is changed
		return restored, err
	}
	operation := lease.Operation{Target: lease.WholeLog, Kind: "restore", Resume: request.Resume}
	left, err := o.Operations(ctx)
	if err != nil {
		return restored, err
	}
	interrupted := epochOfRestore(left, operation)
	if operation.Epoch, err = unusedEpoch(ctx, streams, interrupted); err != nil {
		return restored, err
	}
	resumes := slices.ContainsFunc(left, func(other lease.Operation) bool { return other.Target == lease.WholeLog })
	err = o.during(ctx, operation, report, func(ctx context.Context, report Report) error {
		var begun []audit.Erasure
		options := backup.Options{
			Replace: request.Replace, InPlace: request.InPlace, Epoch: operation.Epoch, Resumed: interrupted,
			Prepare: func(ctx context.Context, coming backup.Coming) (err error) {
				begun, err = prepareErasures(ctx, trail, coming)
				return err
			},
			Report: func(p backup.Progress) { report(p.Step, p.Done, p.Total) },
		}
		restored, err = backup.RestoreWith(ctx, streams, request.Dir, options)
		if errors.Is(err, archive.ErrNoRoom) {
			err = fmt.Errorf("%w; --in-place removes that first", err)
		}
		if unchanged := (backup.Unchanged{}); errors.As(err, &unchanged) && !resumes {
			return nothingDone{err}
		}
		if err != nil || len(begun) == 0 {
			return err
		}
		restored.Erased = erasure.Unfinished(begun)
		return o.eraseAgain(ctx, begun, report)
	})
	return restored, err
}

// epochOfRestore returns the epoch that the same restore was to give the log if it was
// interrupted, and otherwise none. left are the operations to be resumed or undone.
func epochOfRestore(left []lease.Operation, operation lease.Operation) string {
	for _, other := range left {
		if other.Target == operation.Target && other.Kind == operation.Kind && other.Resume == operation.Resume {
			return other.Epoch
		}
	}
	return ""
}

// unusedEpoch returns the epoch of an interrupted restore as long as the log with it is
// there, or was in use by nobody, and otherwise a new one: a log that was restored, used and
// lost has given out sequences in its epoch.
func unusedEpoch(ctx context.Context, streams *archive.Archive, interrupted string) (string, error) {
	if interrupted == "" {
		return archive.NewEpoch(), nil
	}
	there, err := streams.Completed(ctx, archive.Streams()[0], interrupted)
	if there || err != nil {
		return interrupted, err
	}
	used, err := streams.Known(ctx, interrupted)
	if used {
		interrupted = archive.NewEpoch()
	}
	return interrupted, err
}

// undoRestore removes what an interrupted restore has made.
func (o *Operator) undoRestore(ctx context.Context, operation lease.Operation, emptyLog bool) error {
	streams, err := archive.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return err
	}
	gone := false
	for _, stream := range archive.Streams() {
		there, restoring, err := streams.Restoring(ctx, stream)
		if err != nil {
			return err
		}
		gone = gone || restoring || !there && stream == archive.Streams()[0]
	}
	if gone && !emptyLog {
		return fmt.Errorf("%w: the log that was there is removed already; finish it: %s; or give it up with --empty-log", ErrCannotUndo, operation.Resume)
	}
	for _, stream := range archive.Streams() {
		if err := streams.Remove(ctx, archive.Beside(stream)); err != nil {
			return err
		}
		if _, restoring, err := streams.Restoring(ctx, stream); err != nil {
			return err
		} else if restoring {
			if err := streams.Remove(ctx, stream); err != nil {
				return err
			}
		}
	}
	return nil
}
