package hub

import (
	"context"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// A query by time bounds emittedAt, which producers write, while the log is ordered by
// the time of storing. So the bound's place in the log is searched for by the time of
// storing, and emittedAt selects among the records from there and near there: those that
// were stored within maxSkew of the bound, and at most skewEvents of them. An event whose
// two times are further apart may be missing.
const (
	maxSkew    = 5 * time.Minute
	skewEvents = 1000
	// searchWidth ends a search: reading so many records is cheaper than more halvings.
	searchWidth = 64
)

// storedAt returns when the log stored a record, or emittedAt when the source does not
// have that time.
func storedAt(record messaging.Record) time.Time {
	if !record.StoredAt.IsZero() {
		return record.StoredAt
	}
	return emittedTime(record)
}

// emittedTime returns emittedAt. An invalid one is the zero time, older than any bound.
func emittedTime(record messaging.Record) time.Time {
	emitted, _ := time.Parse(time.RFC3339, record.EmittedAt)
	return emitted
}

// lowerBound ends a walk back from the newest record at a time.
type lowerBound struct {
	at     *time.Time // nil: there is no bound
	beyond int        // records before it
}

// ends reports whether the walk ends at a record of this time.
func (b *lowerBound) ends(record time.Time) bool {
	if b.at == nil {
		return false
	}
	early := b.at.Sub(record)
	if early > 0 {
		b.beyond++
	}
	return early > maxSkew || b.beyond > skewEvents
}

// beginAt returns a sequence below which lie the records that may have been emitted before
// a time.
func (w *walk) beginAt(ctx context.Context, at time.Time) (uint64, error) {
	through, err := w.search(ctx, at)
	if err != nil {
		return 0, err
	}
	near, err := w.from(ctx, through, skewEvents)
	for _, record := range near {
		if storedAt(record).Sub(at) > maxSkew {
			break
		}
		through = record.Sequence
	}
	return through + 1, err
}

// search returns a sequence up to which lie all of the job's records that were stored
// before a time, and records of at most searchWidth more sequences. It reads one record
// for each halving of the log's sequences.
func (w *walk) search(ctx context.Context, at time.Time) (uint64, error) {
	low, high := uint64(0), w.at.head
	if high == 0 {
		high, _ = w.h.projectedUpTo(ctx) // the log has removed the job; MongoDB may have it
	}
	for high-low > searchWidth {
		middle := low + (high-low)/2
		records, err := w.from(ctx, middle, 1)
		switch {
		case err != nil:
			return 0, err
		case len(records) == 0 || records[0].Sequence > high || storedAt(records[0]).After(at):
			high = middle
		default:
			low = records[0].Sequence
		}
	}
	return high, nil
}

// from reads records after a sequence, from MongoDB or the log.
func (w *walk) from(ctx context.Context, after uint64, limit int) ([]messaging.Record, error) {
	return w.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
		if records := w.h.cachedRecords(w.at, after, limit); len(records) == limit {
			return records, nil
		}
		if records, _ := w.h.projectedAfter(ctx, w.at, after, limit, false); len(records) > 0 {
			return records, nil
		}
		records, err := w.h.log.ReadAfter(ctx, w.at.jobID, after, limit)
		if err == nil && limit > 1 {
			w.h.cacheLogged(ctx, w.at, after, records)
		}
		return records, err
	})
}
