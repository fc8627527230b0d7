package operations

import (
	"context"
	"fmt"
	"math"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/inspect"
	"github.com/letswriteabook/realtime/operations/replay"
	"github.com/letswriteabook/realtime/projections"
)

// LogStatus returns the state of the streams and of their consumers.
func (o *Operator) LogStatus(ctx context.Context) (inspect.Status, error) {
	log, err := o.log(ctx)
	if err != nil {
		return inspect.Status{}, err
	}
	var expected []string
	if o.cfg.MongoDBURI != "" {
		expected = projections.Names()
	}
	return inspect.StatusOf(ctx, log, expected...)
}

// EventWay traces one event: where it was stored, projected and refused.
func (o *Operator) EventWay(ctx context.Context, query inspect.Query, report Report) (inspect.Way, error) {
	log, err := o.log(ctx)
	if err != nil {
		return inspect.Way{}, err
	}
	var history inspect.History
	if o.cfg.MongoDBURI != "" {
		if history, err = o.models(); err != nil {
			return inspect.Way{}, err
		}
	}
	return inspect.WayOf(ctx, log, history, query, func(done, total uint64) { report("search", done, total) })
}

// JobHistory calls each with at most limit events of a job, oldest first: those after a
// position, or the newest ones when after is nil. It reports whether there are more after
// the last. It returns [replay.ErrEpoch] for a position of another epoch than the log's.
func (o *Operator) JobHistory(ctx context.Context, jobID string, after *messaging.Position, limit int, each func(line replay.Line, eventType string) error) (more bool, err error) {
	log, err := o.log(ctx)
	if err != nil {
		return false, err
	}
	pass := func(records []messaging.Record) error {
		for _, record := range records {
			if err := each(replay.LineOf(record), replay.TypeOf(record.Body)); err != nil {
				return err
			}
		}
		return nil
	}
	if after == nil {
		span, err := log.Locate(ctx, jobID, math.MaxUint64, limit)
		if err != nil || span.First == 0 {
			return false, err
		}
		return false, log.ScanJob(ctx, jobID, span.First, span.Last, func(record messaging.Record) error {
			return pass([]messaging.Record{record})
		})
	}
	state, err := log.State(ctx)
	if err != nil {
		return false, err
	}
	if after.Epoch != "" && after.Epoch != state.Epoch {
		return false, fmt.Errorf("position %s: %w: it is %s since it was restored or re-created, and has other events there; start with --since 0", after, replay.ErrEpoch, state.Epoch)
	}
	for from, left := after.Sequence, limit; ; {
		// One record more than wanted shows whether there are more.
		records, err := log.ReadAfter(ctx, jobID, from, left+1)
		if err != nil || len(records) == 0 {
			return false, err
		}
		if more = len(records) > left; more {
			records = records[:left]
		}
		if err := pass(records); err != nil || more {
			return more, err
		}
		from, left = records[len(records)-1].Sequence, left-len(records)
	}
}
