package projections

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// Unprojected calls each with the job's records that the log has and that the history
// may not have yet: those after the sequence that its consumer has acknowledged.
type Unprojected func(ctx context.Context, jobID string, each func(messaging.Record)) error

// doubled returns which of the job's documents without a sequence are of an event that
// has a record, by their _ids: they were not adopted yet. unprojected may be nil.
//
// A job without records costs one read of an index. Otherwise documents that were made
// about when the job's first record was, or later, are read, and their records.
func (s *Store) doubled(ctx context.Context, jobID string, unprojected Unprojected) (map[string]bool, error) {
	first, found, err := s.firstStored(ctx, jobID)
	if err != nil {
		return nil, err
	}
	var keys []twin
	if unprojected != nil {
		err := unprojected(ctx, jobID, func(record messaging.Record) {
			if t, ok := newTwin(record); ok && len(keys) < maxTwins {
				keys = append(keys, t)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, t := range keys {
		if !found || t.stored.Before(first) {
			first, found = t.stored, true
		}
	}
	if !found {
		return nil, nil
	}
	m := newMatching(nil)
	from := first.Add(-twinWindow)
	candidates := bson.D{{Key: fieldJobID, Value: jobID}, {Key: fieldSequence, Value: nil}, {Key: "$or", Value: bson.A{
		bson.D{{Key: fieldEmittedAt, Value: bson.D{{Key: "$gte", Value: messaging.FormatTime(from)}}}},
		bson.D{{Key: fieldEmittedAt, Value: bson.D{{Key: "$gte", Value: from}}}},
		bson.D{{Key: fieldCreatedAt, Value: bson.D{{Key: "$gte", Value: from}}}},
		bson.D{{Key: fieldCreatedAt, Value: nil}},
	}}}
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		return s.eachEvent(ctx, candidates, bson.D{}, func(doc bson.Raw) bool {
			if t, ok := twinOf(doc); ok {
				m.work(t)
			}
			return true
		})
	})
	if err != nil || len(m.workers) == 0 {
		return nil, err
	}
	written := make(map[messaging.Position]bool)
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		return s.eachEvent(ctx, wideFilter(m.workers), byJob, func(doc bson.Raw) bool {
			m.show(doc)
			written[m.group[len(m.group)-1].Position] = true
			return true
		})
	})
	if err != nil {
		return nil, err
	}
	m.endGroup()
	for _, t := range keys {
		if !written[t.Position] {
			m.records = append(m.records, t)
		}
	}
	names := make(map[string]bool)
	for _, p := range pairUp(m.workers, m.records) {
		names[string(p.worker.id)] = true
	}
	return names, nil
}

// firstStored returns when the log took the job's first record that the history has.
func (s *Store) firstStored(ctx context.Context, jobID string) (at time.Time, found bool, err error) {
	filter := bson.D{{Key: fieldJobID, Value: jobID}, {Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: int64(0)}}}}
	var doc bson.Raw
	err = s.read(ctx, eventsCollection, func(ctx context.Context) (err error) {
		doc, err = s.events.FindOne(ctx, filter, options.FindOne().SetSort(bson.D{{Key: fieldSequence, Value: 1}}).
			SetProjection(bson.D{{Key: fieldCreatedAt, Value: 1}, {Key: fieldLogStoredAt, Value: 1}})).Raw()
		return err
	})
	if errors.Is(err, mongo.ErrNoDocuments) {
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	at = madeAt(doc)
	if stored, ok := doc.Lookup(fieldLogStoredAt).TimeOK(); ok {
		at = stored
	}
	return at, true, nil
}
