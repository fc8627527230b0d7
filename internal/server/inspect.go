package server

import (
	"context"
	"fmt"
	"math"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/inspect"
	"github.com/letswriteabook/realtime/operations/replay"
	"github.com/letswriteabook/realtime/projections"
)

// What the commands of log show.
type (
	LogStatus  = inspect.Status
	EventQuery = inspect.Query
	EventWay   = inspect.Way
	EventLine  = replay.Line
)

// LogStatus asks the log what it holds.
func (o *Operator) LogStatus(ctx context.Context) (LogStatus, error) {
	log, err := o.attach(ctx)
	if err != nil {
		return LogStatus{}, err
	}
	var expected []string
	if o.app.cfg.MongoDBURI != "" {
		expected = projections.Names()
	}
	return inspect.StatusOf(ctx, log, expected...)
}

// EventWay finds out which way an event has gone.
func (o *Operator) EventWay(ctx context.Context, query EventQuery, report func(step string, done, total uint64)) (EventWay, error) {
	log, err := o.attach(ctx)
	if err != nil {
		return EventWay{}, err
	}
	var history inspect.History
	if o.app.cfg.MongoDBURI != "" {
		if history, err = o.models(); err != nil {
			return EventWay{}, err
		}
	}
	return inspect.WayOf(ctx, log, history, query, func(done, total uint64) { report("search", done, total) })
}

// JobHistory hands events of a job to each, oldest first, at most limit of them:
// those after a position, or the newest ones when after is nil. It reports whether
// there are more after the last. A position of another epoch than the log's is
// [replay.ErrEpoch].
func (o *Operator) JobHistory(ctx context.Context, jobID string, after *messaging.Position, limit int, each func(line EventLine, eventType string) error) (more bool, err error) {
	log, err := o.attach(ctx)
	if err != nil {
		return false, err
	}
	hand := func(records []messaging.Record) error {
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
			return hand([]messaging.Record{record})
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
		// One more than is wanted tells whether there are more.
		records, err := log.ReadAfter(ctx, jobID, from, left+1)
		if err != nil || len(records) == 0 {
			return false, err
		}
		if more = len(records) > left; more {
			records = records[:left]
		}
		if err := hand(records); err != nil || more {
			return more, err
		}
		from, left = records[len(records)-1].Sequence, left-len(records)
	}
}
