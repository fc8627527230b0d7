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
// After somebody dropped a collection, MongoDB re-creates it with the next insert.
// Readers trust the collection up to the consumer's floor, and could not distinguish one
// that has the newest events alone from a whole one. So a batch is acknowledged only while the
// witness is there, which is looked at after the insert: the floor stays below
// everything that was written after the loss, and readers ask the log. The witness is
// written with the first batch that the consumer ever has acknowledged, and into
// every shadow. A rebuild and its swap bring it back.
//
// Each has a mark of its own, which distinguishes one collection from the next: a batch that
// was written into the one before a swap is written again into the one after it.
const witnessID = "novel-projection-witness"

// fieldMark holds a witness's mark. A witness from before there were marks has none.
const fieldMark = "mark"

// sighting is what a look for the witness has found. Two that are equal, and there,
// are of one collection.
type sighting struct {
	there bool
	mark  string
}

func isWitness(doc bson.Raw) bool { return text(doc, fieldID) == witnessID }

// writeWitnessed writes batches of the live history, from one goroutine at a time.
// They return [ErrLost] when the collection is no longer the one that had what was
// acknowledged before.
func (s *Store) writeWitnessed(log Log) func(context.Context, []messaging.Record) error {
	var before sighting // the witness at the last look
	failed := false     // the last attempt: a part of it may have been written
	return func(ctx context.Context, records []messaging.Record) (err error) {
		repeated := failed
		defer func() { failed = err != nil }()
		for ; ; repeated = true {
			if !before.there {
				if before, err = s.witness(ctx); err != nil {
					return err
				}
			}
			if err := s.writeHistory(ctx, records, repeated); err != nil {
				return err
			}
			now, err := s.witness(ctx)
			if err != nil {
				return err
			}
			if !now.there {
				return s.firstWitness(ctx, log)
			}
			if now == before {
				return nil
			}
			before = now // The batch may have gone into the collection before this one.
		}
	}
}

// firstWitness writes the witness with the first batch that the consumer has
// acknowledged. With any later one it returns [ErrLost].
func (s *Store) firstWitness(ctx context.Context, log Log) error {
	fresh, err := log.ConsumerFresh(ctx, History)
	if err != nil {
		return err
	}
	if !fresh {
		return ErrLost
	}
	return s.insertWitness(ctx)
}

// witness looks for the witness.
func (s *Store) witness(ctx context.Context) (sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	doc, err := s.events.FindOne(ctx, bson.D{{Key: fieldID, Value: witnessID}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return sighting{}, nil
	}
	if err != nil {
		return sighting{}, fmt.Errorf("look for the witness of %s: %w", s.events.Name(), err)
	}
	return sighting{there: true, mark: text(doc, fieldMark)}, nil
}

// insertWitness writes the witness, unless it is there. It has no jobId, so that
// nobody's question finds it.
func (s *Store) insertWitness(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	_, err := s.events.InsertOne(ctx, bson.D{
		{Key: fieldID, Value: witnessID},
		{Key: fieldMark, Value: bson.NewObjectID().Hex()},
		{Key: "note", Value: "Written and checked by the history projection. Without it the collection counts as dropped."},
	})
	if err != nil && !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("write the witness of %s: %w", s.events.Name(), err)
	}
	return nil
}

// Lost reports whether the projection's collection was dropped or emptied since its
// consumer has had something acknowledged: the consumer stands still until a rebuild
// is swapped in. Heads are never lost: each is complete by itself.
func (m *Model) Lost(ctx context.Context, fresh bool) (bool, error) {
	if m.name != History || fresh {
		return false, nil
	}
	seen, err := m.live.witness(ctx)
	return !seen.there && err == nil, err
}
