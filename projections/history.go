package projections

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/messaging"
)

// writeHistory inserts the records into novel_job_events. Those that are there
// already are left alone: the same position is the same event.
func (s *Store) writeHistory(ctx context.Context, records []messaging.Record) error {
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
	for _, e := range events {
		if e.raw == "" {
			s.tellReduced(ctx, History, e.Record, keptNothing, 0)
		}
	}
	return nil
}
