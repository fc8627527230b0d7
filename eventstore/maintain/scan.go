package maintain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// scanPage is how many records one page of a scan holds at most; [eventstore.Log.Read]
// bounds its bytes.
const scanPage = 1024

// Scan calls each with the records of all jobs from the first sequence to the
// last, both included, in ascending order. It holds one page at a time. It ends
// with the error of each, or of a read.
func (l *Log) Scan(ctx context.Context, first, last uint64, each func(messaging.Record) error) error {
	return l.scan(ctx, "", first, last, each)
}

// ScanJob is [Log.Scan] for the records of one job alone.
func (l *Log) ScanJob(ctx context.Context, jobID string, first, last uint64, each func(messaging.Record) error) error {
	if err := eventstore.ValidateJobID(jobID); err != nil {
		return fmt.Errorf("scan a job: %w", err)
	}
	return l.scan(ctx, jobID, first, last, each)
}

// FirstSince returns the sequence of the first record that the log took at or
// after a time, and the one after the last when there is none. Times are those
// of the stream's leaders.
func (l *Log) FirstSince(ctx context.Context, at time.Time) (uint64, error) {
	state, err := l.State(ctx)
	if err != nil {
		return 0, err
	}
	found, err := l.client.Leader(ctx, layout.EventStream, jet.Request{StartTime: &at, Next: layout.EventPrefix + ">"})
	switch {
	case err == nil && !found.At.Before(at):
		return found.Sequence, nil
	case err == nil, errors.Is(err, jet.ErrNotFound): // for a time after its last record the server (2.15) answers with the first
		return state.Last + 1, nil
	}
	return 0, fmt.Errorf("look up the first record since %s: %w", at.Format(time.RFC3339Nano), err)
}

// scan is [Log.ScanJob], and [Log.Scan] with an empty jobId.
func (l *Log) scan(ctx context.Context, jobID string, first, last uint64, each func(messaging.Record) error) error {
	end := last
	if end < math.MaxUint64 {
		end++
	}
	for after := max(first, 1) - 1; after < last; {
		records, err := l.Read(ctx, eventstore.Range{JobID: jobID, After: after, Before: end, Limit: scanPage})
		if err != nil {
			return fmt.Errorf("scan the log after %d: %w", after, err)
		}
		if len(records) == 0 {
			return nil
		}
		for _, record := range records {
			if err := each(record); err != nil {
				return err
			}
		}
		after = records[len(records)-1].Sequence
	}
	return nil
}
