package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// Unprojected calls each with the job's records that the log has and that the history
// may not have yet: those after the sequence that its consumer has acknowledged. It fails
// when the log does not answer.
type Unprojected func(ctx context.Context, jobID string, each func(messaging.Record)) error

// Beside returns a store that reads as s does and leaves out the documents of older
// writers whose events the log has and the history may not have yet.
func (s *Store) Beside(unprojected Unprojected) *Store {
	beside := *s
	beside.unprojected = unprojected
	return &beside
}

// maxTwinLooks bounds how often a search for older writers' documents is repeated to
// replace those that are left out.
const maxTwinLooks = 5

// besideTwins returns at most limit of the names that find returns for the job's documents
// without a sequence, and leaves out the documents of events that have a record. At any
// moment, also while this runs, a worker may write, its event may be stored, and its document may be
// adopted. So the documents to leave out are determined after the search. If that leaves
// a page that was full with fewer names, the search is repeated without them.
func (s *Store) besideTwins(
	ctx context.Context, jobID string, limit int, find func(filter bson.D) ([]string, error),
) (names []string, err error) {
	filter := unsequenced(jobID)
	for looks := 1; ; looks++ {
		if names, err = find(filter); err != nil || len(names) == 0 {
			return nil, err
		}
		twins, err := s.doubled(ctx, jobID, s.unprojected)
		if err != nil {
			return nil, err
		}
		found := len(names)
		names = slices.DeleteFunc(names, func(name string) bool { return twins[name] })
		if found < limit || len(names) == found || looks == maxTwinLooks {
			return names, nil
		}
		ids := make(bson.A, 0, len(twins))
		for name := range twins {
			ids = append(ids, bson.RawValue{Type: bson.Type(name[0]), Value: []byte(name[1:])})
		}
		filter = append(unsequenced(jobID), bson.E{Key: fieldID, Value: bson.D{{Key: "$nin", Value: ids}}})
	}
}

// doubled returns the names of those of the job's documents without a sequence whose event
// has a record: they are not adopted yet. unprojected may be nil.
//
// A job without records costs one read of an index. Otherwise doubled reads the documents
// that were created shortly before the job's first record or later, and their records.
func (s *Store) doubled(ctx context.Context, jobID string, unprojected Unprojected) (names map[string]bool, err error) {
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
			return nil, fmt.Errorf("read the records that the history may not have yet: %w: %w", ErrLog, err)
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
				m.addWorker(t)
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
			m.add(doc)
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
	names = make(map[string]bool)
	for _, p := range pairUp(m.workers, m.records) {
		names[string(p.worker.id)] = true
	}
	return names, nil
}

// firstStored returns when the log stored the first of the job's records in the history.
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
