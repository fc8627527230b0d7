package projections

import (
	"cmp"
	"context"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

// MaxLegacy is how many documents of older writers one [Store.ReadLegacy]
// returns at most.
const MaxLegacy = 10_000

// ReadLegacy returns the job's newest events of older writers, which have no
// sequence, oldest first: at most limit of them, and [MaxLegacy] when limit is
// zero or more than that. They are older than every record with a sequence.
//
// The order is that of emittedAt, then of _id. Writers differ in whether they
// store emittedAt as text or as a date; both are taken. Documents that are no
// events are left out, and may make the page shorter than the limit.
//
// Documents of events that have a record are left out: they are about to be adopted.
//
// It uses the index on jobId, sequence and epoch, and sorts what is found: old
// documents only. It fails with [ErrUnavailable].
func (s *Store) ReadLegacy(ctx context.Context, jobID string, limit int) (records []messaging.Record, err error) {
	if limit <= 0 || limit > MaxLegacy {
		limit = MaxLegacy
	}
	err = s.besideTwins(ctx, jobID, func(unsequenced bson.D) (int, error) {
		records, err = s.readLegacy(ctx, unsequenced, limit)
		return len(records), err
	})
	return records, err
}

func (s *Store) readLegacy(ctx context.Context, unsequenced bson.D, limit int) ([]messaging.Record, error) {
	newestFirst := bson.D{{Key: fieldEmittedAt, Value: -1}, {Key: fieldID, Value: -1}}
	records, found, err := s.findEvents(ctx, unsequenced, newestFirst, limit, math.MaxInt)
	if err != nil {
		return nil, err
	}
	if found == limit {
		// There may be more, and MongoDB sorts by type first: every date comes
		// before any text. Ask for the newest of each.
		records = nil
		for _, form := range []string{"date", "string"} {
			filter := append(unsequenced[:len(unsequenced):len(unsequenced)], bson.E{Key: fieldEmittedAt, Value: bson.D{{Key: "$type", Value: form}}})
			page, _, err := s.findEvents(ctx, filter, newestFirst, limit, math.MaxInt)
			if err != nil {
				return nil, err
			}
			records = append(records, page...)
		}
	}
	slices.Reverse(records)
	slices.SortStableFunc(records, func(a, b messaging.Record) int { return cmp.Compare(a.EmittedAt, b.EmittedAt) })
	return records[max(0, len(records)-limit):], nil
}
