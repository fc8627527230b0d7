package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// fieldLog holds, in the witness, the high-water mark of the log.
const fieldLog = "log"

// beyondEnd is for how many sequences beyond the end of the log a document is searched. A
// run of sequences without one, whose records were erased, must be shorter than that.
const beyondEnd = 256

// HighWater returns the noted end of the log, and when the log stored its last record. found
// is false when there is no note.
func (s *Store) HighWater(ctx context.Context) (mark messaging.Position, at time.Time, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	doc, err := s.events.FindOne(ctx, bson.D{{Key: fieldID, Value: witnessID}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return mark, at, false, nil
	}
	if err != nil {
		return mark, at, false, fmt.Errorf("read the high-water mark of the log: %w", err)
	}
	noted, ok := doc.Lookup(fieldLog).DocumentOK()
	if !ok {
		return mark, at, false, nil
	}
	sequence, _ := noted.Lookup(fieldSequence).AsInt64OK()
	mark = messaging.Position{Epoch: text(noted, fieldEpoch), Sequence: uint64(max(sequence, 0))}
	at, _ = time.Parse(time.RFC3339Nano, text(noted, "at"))
	return mark, at, true, nil
}

// Beyond returns the newest sequence shortly after the end of the log that has a
// document of the epoch, 0 when none has. A log with such documents has lost its tail.
// The note of [Store.HighWater] is renewed once a second, and may be older than the
// documents.
func (s *Store) Beyond(ctx context.Context, end messaging.Position) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	ids := make(bson.A, beyondEnd)
	for i := range ids {
		ids[i] = messaging.Position{Epoch: end.Epoch, Sequence: end.Sequence + 1 + uint64(i)}.String()
	}
	cursor, err := s.events.Find(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}},
		options.Find().SetProjection(bson.D{{Key: fieldSequence, Value: 1}}))
	if err != nil {
		return 0, fmt.Errorf("look for documents beyond the end of the log: %w", err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // Else the server's timeout does it.
	var newest uint64
	for cursor.Next(ctx) {
		if sequence, ok := cursor.Current.Lookup(fieldSequence).AsInt64OK(); ok && sequence > 0 {
			newest = max(newest, uint64(sequence))
		}
	}
	return newest, cursor.Err()
}

// NoteHighWater notes the end of the log in the witness. Without a witness, nothing of the
// log has been projected, and NoteHighWater does nothing.
func (s *Store) NoteHighWater(ctx context.Context, mark messaging.Position, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	noted := bson.D{
		{Key: fieldEpoch, Value: mark.Epoch},
		{Key: fieldSequence, Value: int64(mark.Sequence)},
		{Key: "at", Value: at.UTC().Format(time.RFC3339Nano)},
	}
	_, err := s.events.UpdateOne(ctx, bson.D{{Key: fieldID, Value: witnessID}}, bson.D{{Key: "$set", Value: bson.D{{Key: fieldLog, Value: noted}}}})
	if err != nil {
		return fmt.Errorf("note the high-water mark of the log: %w", err)
	}
	return nil
}
