package projections

import (
	"cmp"
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// MaxLegacy is how many documents of older writers one [Store.FindLegacy] names
// at most.
const MaxLegacy = 10_000

// FindLegacy returns the names of the job's newest documents of older writers, which have no
// sequence, oldest first: at most limit of them, or [MaxLegacy] when limit is zero
// or more than that. Readers show them before every record with a sequence. The names
// are for [Store.ReadLegacy], which reads the contents.
//
// They are sorted by emittedAt, then by _id. Some writers store emittedAt as text, others
// as a date; both are supported.
//
// Documents of events that have a record are left out, because they are about to be
// adopted.
//
// The index on jobId, sequence and epoch serves the search; MongoDB sorts what it finds,
// which are documents of older writers only. FindLegacy fails with [ErrUnavailable].
func (s *Store) FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	if limit <= 0 || limit > MaxLegacy {
		limit = MaxLegacy
	}
	return s.besideTwins(ctx, jobID, limit, func(filter bson.D) ([]string, error) { return s.nameLegacy(ctx, filter, limit) })
}

func (s *Store) nameLegacy(ctx context.Context, unsequenced bson.D, limit int) ([]string, error) {
	found, err := s.findLegacy(ctx, unsequenced, limit)
	if err != nil {
		return nil, err
	}
	if len(found) == limit {
		// There may be more, and MongoDB sorts by type first: every date comes
		// before any text. Ask for the newest of each.
		found = nil
		for _, form := range []string{"date", "string"} {
			filter := append(unsequenced[:len(unsequenced):len(unsequenced)], bson.E{Key: fieldEmittedAt, Value: bson.D{{Key: "$type", Value: form}}})
			part, err := s.findLegacy(ctx, filter, limit)
			if err != nil {
				return nil, err
			}
			found = append(found, part...)
		}
	}
	slices.Reverse(found)
	slices.SortStableFunc(found, func(a, b legacyDocument) int { return cmp.Compare(a.emittedAt, b.emittedAt) })
	found = found[max(0, len(found)-limit):]
	names := make([]string, len(found))
	for i, document := range found {
		names[i] = document.name
	}
	return names, nil
}

// unsequenced matches documents without a sequence. A condition of null also matches
// documents that do not have the field.
func unsequenced(jobID string) bson.D {
	return bson.D{{Key: fieldJobID, Value: jobID}, {Key: fieldSequence, Value: nil}}
}

// legacyDocument has the time at which the event of an older writer's document was emitted,
// and the document's name: the type and the bytes of its _id.
type legacyDocument struct{ emittedAt, name string }

// findLegacy returns the newest limit documents that match, newest first.
func (s *Store) findLegacy(ctx context.Context, filter bson.D, limit int) (found []legacyDocument, err error) {
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		found = nil
		cursor, err := s.events.Find(ctx, filter, options.Find().
			SetSort(bson.D{{Key: fieldEmittedAt, Value: -1}, {Key: fieldID, Value: -1}}).
			SetProjection(bson.D{{Key: fieldEmittedAt, Value: 1}}).
			SetLimit(int64(limit)).SetBatchSize(int32(limit+1)))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(ctx) }() // as in findEvents
		for cursor.Next(ctx) {
			found = append(found, legacyDocument{
				emittedAt: timeText(cursor.Current.Lookup(fieldEmittedAt)),
				name:      nameOf(cursor.Current.Lookup(fieldID)),
			})
		}
		return cursor.Err()
	})
	return found, err
}

// legacyBatch bounds the documents of older writers that one command reads by name.
const legacyBatch = 250

// ReadLegacy returns events of the documents that [Store.FindLegacy] has named, in the
// order of the names, and how many of the names it has read: at least one, unless names is
// empty. It ends early once the bodies have 1 MiB. It leaves out documents that are not
// events, that were removed, or that have been given a sequence since. It fails with
// [ErrUnavailable].
func (s *Store) ReadLegacy(ctx context.Context, jobID string, names []string) (records []messaging.Record, taken int, err error) {
	for batch, size := firstBatch, 0; taken < len(names) && size < pageBytes; {
		asked := names[taken:min(taken+batch, len(names))]
		part, complete, err := s.readNamed(ctx, jobID, asked, pageBytes-size)
		switch {
		case err != nil:
			return nil, 0, err
		case complete:
		case taken > 0: // the next page has them
			return records, taken, nil
		case len(asked) > 1:
			batch = len(asked) / 2
			continue
		}
		read := 0
		for _, record := range part {
			read += len(record.Body)
		}
		records, taken, size = append(records, part...), taken+len(asked), size+read
		batch = min(max((pageBytes-size)/(read/len(asked)+1), 1), legacyBatch)
	}
	return records, taken, nil
}

// readNamed returns the events of documents in the order of their names. complete is
// false when it ended early, with the event at which the bodies reached maxBytes.
func (s *Store) readNamed(
	ctx context.Context, jobID string, names []string, maxBytes int,
) (records []messaging.Record, complete bool, err error) {
	ids := make(bson.A, len(names))
	for i, name := range names {
		ids[i] = bson.RawValue{Type: bson.Type(name[0]), Value: []byte(name[1:])}
	}
	filter := append(unsequenced(jobID), bson.E{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}})
	byName := make(map[string]messaging.Record, len(names))
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		clear(byName)
		complete = true
		cursor, err := s.events.Find(ctx, filter, options.Find().SetBatchSize(int32(len(names)+1)))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(ctx) }() // as in findEvents
		for size := 0; cursor.Next(ctx); {
			if complete = size < maxBytes; !complete {
				return nil
			}
			record, err := decodeRecord(cursor.Current)
			if err != nil {
				s.metrics.malformed.Inc()
				continue
			}
			byName[nameOf(cursor.Current.Lookup(fieldID))] = record
			size += len(record.Body)
		}
		return cursor.Err()
	})
	if err != nil {
		return nil, false, err
	}
	for _, name := range names {
		if record, found := byName[name]; found {
			records = append(records, record)
		}
	}
	return records, complete, nil
}

// nameOf returns the name of the document with an _id.
func nameOf(id bson.RawValue) string { return string(append([]byte{byte(id.Type)}, id.Value...)) }
