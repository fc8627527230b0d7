package projections

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/messaging"
)

// witnessID is the _id of the witness: a document that is in novel_job_events for as
// long as the collection has all that its consumer has had acknowledged.
//
// MongoDB makes a collection anew with the next insert after somebody dropped it.
// Readers trust the collection up to the consumer's floor, and could not tell one of
// the newest events alone from a whole one. So a batch is acknowledged only while the
// witness is there, which is looked at after the insert: the floor stays below
// everything that was written after the loss, and readers ask the log. The witness is
// written with the first batch that the consumer ever has acknowledged, and into
// every shadow. A rebuild and its swap bring it back.
const witnessID = "novel-projection-witness"

// witness is the document. It has no jobId, so that nobody's question finds it.
func witness() bson.D {
	return bson.D{
		{Key: fieldID, Value: witnessID},
		{Key: "note", Value: "Written and checked by the history projection. Without it the collection counts as dropped."},
	}
}

func isWitness(doc bson.Raw) bool { return text(doc, fieldID) == witnessID }

// writeWitnessed writes a batch of the live history. It returns [ErrLost] when the
// collection is no longer the one that had what was acknowledged before.
func (s *Store) writeWitnessed(log Log) func(context.Context, []messaging.Record) error {
	return func(ctx context.Context, records []messaging.Record) error {
		if err := s.writeHistory(ctx, records); err != nil {
			return err
		}
		whole, err := s.witnessed(ctx)
		if err != nil || whole {
			return err
		}
		fresh, err := log.ConsumerFresh(ctx, History)
		if err != nil {
			return err
		}
		if !fresh {
			return ErrLost
		}
		return s.bearWitness(ctx)
	}
}

// witnessed reports whether the witness is there.
func (s *Store) witnessed(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	err := s.events.FindOne(ctx, witness()[:1]).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the witness of %s: %w", s.events.Name(), err)
	}
	return true, nil
}

// bearWitness writes the witness, unless it is there.
func (s *Store) bearWitness(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if _, err := s.events.InsertOne(ctx, witness()); err != nil && !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("write the witness of %s: %w", s.events.Name(), err)
	}
	return nil
}

// Lost reports whether the projection's collection was dropped or emptied since its
// consumer has had something acknowledged: the consumer stands still until a rebuild
// is swapped in. Heads are never lost: each says by itself what it knows.
func (m *Model) Lost(ctx context.Context, fresh bool) (bool, error) {
	if m.name != History || fresh {
		return false, nil
	}
	whole, err := m.live.witnessed(ctx)
	return !whole && err == nil, err
}
