package projections

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/messaging"
)

// writeHistory inserts the records into novel_job_events. It leaves existing documents as
// they are: the same position is the same event. repeated says that some records may have
// been written before, and that a worker's document may have been adopted in their place.
func (s *Store) writeHistory(ctx context.Context, records []messaging.Record, repeated bool) error {
	return s.writeContained(ctx, History, records, repeated,
		func(records []messaging.Record, repeated bool) error { return s.insertHistory(ctx, records, repeated) },
		func(record messaging.Record) error { return s.insertOmitted(ctx, record) })
}

func (s *Store) insertHistory(ctx context.Context, records []messaging.Record, repeated bool) error {
	if len(records) == 0 {
		return nil
	}
	events := make([]event, len(records))
	docs := make([]any, len(records))
	for i, record := range records {
		events[i] = newEvent(record)
		docs[i] = events[i].document(shapeFull)
	}
	_, refused, err := s.insertAll(ctx, s.events, docs)
	if err != nil {
		return err
	}
	for _, i := range refused {
		insert := func(ctx context.Context, shape shape) error {
			_, err := s.events.InsertOne(ctx, events[i].document(shape))
			if mongo.IsDuplicateKeyError(err) {
				return nil
			}
			return err
		}
		if err := s.writeReduced(ctx, History, events[i].Record, insert); err != nil {
			return err
		}
	}
	for i, e := range events {
		if e.raw == "" && !slices.Contains(refused, i) { // The others are noted by writeReduced.
			if err := s.omit(ctx, History, e.Record, 0); err != nil {
				return err
			}
		}
	}
	if repeated || slices.ContainsFunc(records, func(r messaging.Record) bool { return r.Redelivered }) {
		return s.removeAdopted(ctx, records)
	}
	return nil
}

// removeAdopted removes the projection's documents of records for which a worker's
// document was adopted before. It must be called after the insert: a later adoption removes
// them itself.
func (s *Store) removeAdopted(ctx context.Context, records []messaging.Record) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	var jobs, sequences bson.A
	for _, record := range records {
		jobs, sequences = append(jobs, record.JobID), append(sequences, int64(record.Sequence))
	}
	filter := bson.D{
		{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: jobs}}},
		{Key: fieldSequence, Value: bson.D{{Key: "$in", Value: sequences}}},
		{Key: fieldEpoch, Value: records[0].Epoch},
		{Key: fieldLogStoredAt, Value: bson.D{{Key: "$exists", Value: true}}},
	}
	var ours bson.A
	err := s.eachEvent(ctx, filter, byJob, func(doc bson.Raw) bool {
		ours = append(ours, positionOf(doc).String())
		return true
	})
	if err != nil {
		return err
	}
	return s.removeEvents(ctx, ours)
}
