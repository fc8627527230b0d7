package projections

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// witnessID is the _id of the witness: a document that is in novel_job_events for as
// long as the collection has all that its consumer has had acknowledged.
//
// MongoDB re-creates a collection that was dropped with the next insert. Readers trust the
// collection up to the consumer's floor, and could not distinguish one that has the newest
// events alone from a whole one. So a batch is acknowledged only while the witness is there,
// which is checked after the insert: the floor stays below everything that was written after
// the loss, and readers use the log. The witness is written with the first batch that the
// consumer has acknowledged, and into every shadow, so that a swap brings it back.
//
// Each witness has a mark of its own, which distinguishes one collection from the next: a
// batch that was written into the collection before a swap is written again into the one
// after it.
const witnessID = "novel-projection-witness"

// fieldMark holds a witness's mark. A witness from before there were marks has none.
const fieldMark = "mark"

// fieldThrough holds, in a witness, the highest sequence that was projected of each epoch,
// by whichever process. A witness of an earlier version has none.
const fieldThrough = "through"

// throughEarlier stands in place of the epoch for what was projected of any epoch before
// the witness had notes of that.
const throughEarlier = "earlier"

// sighting is the state of the witness at one moment.
type sighting struct {
	there   bool
	mark    string
	through map[string]int64
}

// same reports whether two sightings are of one collection. Without a witness, nothing
// distinguishes one collection from another.
func (s sighting) same(other sighting) bool { return s.there == other.there && s.mark == other.mark }

func newSighting(doc bson.Raw) sighting {
	s := sighting{there: true, mark: text(doc, fieldMark), through: make(map[string]int64)}
	through, _ := doc.Lookup(fieldThrough).DocumentOK()
	elements, _ := through.Elements() // None when there is no such field.
	for _, element := range elements {
		s.through[element.Key()], _ = element.Value().AsInt64OK()
	}
	return s
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
			now, err := s.noteThrough(ctx, records)
			if err != nil {
				return err
			}
			if !now.there {
				return s.firstWitness(ctx, log, records)
			}
			if now.same(before) {
				return s.reconcile(ctx, records, now, repeated)
			}
			before = now // The batch may have gone into the collection before this one.
		}
	}
}

// reconcile removes what the batch has written in excess of one document for each event.
// noted is the witness as it was before the batch.
func (s *Store) reconcile(ctx context.Context, records []messaging.Record, noted sighting, repeated bool) error {
	first, epoch := records[0].Sequence, records[0].Epoch
	for _, record := range records {
		first = min(first, record.Sequence)
	}
	// A consumer that was lost and re-created receives all records as if for the first time.
	if !repeated && stored(first) <= max(noted.through[epoch], noted.through[throughEarlier]) {
		if err := s.removeAdopted(ctx, records); err != nil {
			return err
		}
	}
	for other, through := range noted.through {
		if other != epoch && stored(first) <= through {
			_, err := s.supersede(ctx, records)
			return err
		}
	}
	return nil
}

// noteThrough notes in the witness what was projected, and returns the witness as it was
// before.
func (s *Store) noteThrough(ctx context.Context, records []messaging.Record) (sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	through := bson.D{{Key: fieldThrough + "." + records[0].Epoch, Value: lastOf(records)}}
	doc, err := s.events.FindOneAndUpdate(ctx, bson.D{{Key: fieldID, Value: witnessID}}, bson.D{{Key: "$max", Value: through}},
		options.FindOneAndUpdate().SetReturnDocument(options.Before)).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return sighting{}, nil
	}
	if err != nil {
		return sighting{}, fmt.Errorf("note in %s what was projected: %w", s.events.Name(), err)
	}
	noted := newSighting(doc)
	if len(noted.through) > 0 {
		return noted, nil
	}
	// A witness of an earlier version, or of a shadow.
	newest, err := s.events.FindOne(ctx, bson.D{{Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: int64(0)}}}},
		options.FindOne().SetSort(bson.D{{Key: fieldSequence, Value: -1}}).SetProjection(bson.D{{Key: fieldSequence, Value: 1}})).Raw()
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return sighting{}, fmt.Errorf("look for the newest document of %s: %w", s.events.Name(), err)
	}
	noted.through[throughEarlier] = int64(positionOf(newest).Sequence)
	_, err = s.events.UpdateOne(ctx, bson.D{{Key: fieldID, Value: witnessID}},
		bson.D{{Key: "$max", Value: bson.D{{Key: fieldThrough + "." + throughEarlier, Value: noted.through[throughEarlier]}}}})
	if err != nil {
		return sighting{}, fmt.Errorf("note in %s what was projected: %w", s.events.Name(), err)
	}
	return noted, nil
}

// lastOf returns the highest sequence of the records.
func lastOf(records []messaging.Record) (last int64) {
	for _, record := range records {
		last = max(last, stored(record.Sequence))
	}
	return last
}

// firstWitness writes the witness with the first batch that the consumer has
// acknowledged. With any later one it returns [ErrLost].
func (s *Store) firstWitness(ctx context.Context, log Log, records []messaging.Record) error {
	fresh, err := log.ConsumerFresh(ctx, History)
	if err != nil {
		return err
	}
	if !fresh {
		return ErrLost
	}
	return s.insertWitness(ctx, bson.E{Key: fieldThrough, Value: bson.D{{Key: records[0].Epoch, Value: lastOf(records)}}})
}

// witness reads the witness.
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
	return newSighting(doc), nil
}

// insertWitness writes the witness, unless it is there. It has no jobId, so that no query
// for a job finds it.
func (s *Store) insertWitness(ctx context.Context, notes ...bson.E) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	_, err := s.events.InsertOne(ctx, append(bson.D{
		{Key: fieldID, Value: witnessID},
		{Key: fieldMark, Value: bson.NewObjectID().Hex()},
		{Key: "note", Value: "Written and checked by the history projection. Without it the collection counts as dropped."},
	}, notes...))
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
