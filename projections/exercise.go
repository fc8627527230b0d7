package projections

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Exercise tests the operations that the projections need. It writes text, which should be
// a new one each time, into the witness of the history, with the write concern of the
// projections, and reads the witness from the primary. Without a witness nothing changes,
// but MongoDB reports whether it would take the write. Exercise changes no document of a
// job.
func (s *Store) Exercise(ctx context.Context, text string) error {
	id := bson.D{{Key: fieldID, Value: witnessID}}
	done, err := s.events.UpdateOne(ctx, id, bson.D{{Key: "$set", Value: bson.D{{Key: "canary", Value: text}}}})
	if reason := unreached(ctx, err); reason != nil {
		return fmt.Errorf("exercise MongoDB: %w (%w)", reason, err)
	}
	if err != nil {
		return fmt.Errorf("MongoDB refuses to write to %s.%s: see the name of the database in MONGODB_URI, and the rights of its user: %w", s.events.Database().Name(), s.events.Name(), err)
	}
	if done.MatchedCount == 0 {
		return nil
	}
	if _, err := s.events.FindOne(ctx, id).Raw(); err != nil {
		return fmt.Errorf("MongoDB refuses to read %s.%s: see the rights of its user: %w", s.events.Database().Name(), s.events.Name(), err)
	}
	return nil
}
