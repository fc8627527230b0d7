package projections

import (
	"bytes"
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// maxTwins bounds the workers' documents, and the records, of one matching. One takes
// some 250 bytes.
const maxTwins = 50_000

// byJob is the order in which a matching reads: that of the index on jobId, sequence and
// epoch. A job's workers' documents come first.
var byJob = bson.D{{Key: fieldJobID, Value: 1}, {Key: fieldSequence, Value: 1}, {Key: fieldEpoch, Value: 1}}

// matching finds pairs among documents, and records that have more than one document.
// Those with a sequence are added in the order byJob.
type matching struct {
	workers []twin
	wanted  map[twinKey]bool // what workers have
	records []twin
	group   []twin // documents of one record
	surplus surplus
	// skipped counts documents beyond maxTwins: a later matching finds them.
	skipped int
}

// surplus are documents in excess of one for their record: an adoption was interrupted, or
// raced with another one, or the record was written again after it.
type surplus struct {
	remove  bson.A // _ids of the projection's own documents of records with an adopted one
	release []twin // adopted documents of records with another adopted one
}

func newMatching(workers []twin) *matching {
	m := &matching{wanted: make(map[twinKey]bool)}
	for _, w := range workers {
		m.addWorker(w)
	}
	return m
}

// addWorker adds a worker's document.
func (m *matching) addWorker(w twin) {
	if len(m.workers) == maxTwins {
		m.skipped++
		return
	}
	m.workers = append(m.workers, w)
	m.wanted[w.key] = true
}

// add adds the next document that has a sequence.
func (m *matching) add(doc bson.Raw) {
	t := twin{Position: positionOf(doc), id: idOf(doc), adopted: isAdopted(doc)}
	t.key.jobID = text(doc, fieldJobID)
	if len(m.group) > 0 && (m.group[0].Position != t.Position || m.group[0].key.jobID != t.key.jobID) {
		m.endGroup()
	}
	if len(m.workers) > 0 && !t.adopted {
		if full, ok := twinOf(doc); ok {
			t = full
		}
	}
	m.group = append(m.group, t)
}

// endGroup decides which documents of one record are surplus, and which may be paired.
func (m *matching) endGroup() {
	group := m.group
	m.group = m.group[:0]
	// The one with the highest _id stays adopted, as in pairUp. Every process chooses the
	// same one: if two released one each, the record would have no document.
	var adopted *twin
	for i := range group {
		t := &group[i]
		switch {
		case !t.adopted:
		case adopted == nil:
			adopted = t
		case bytes.Compare(t.id, adopted.id) > 0:
			m.surplus.release = append(m.surplus.release, *adopted)
			adopted = t
		default:
			m.surplus.release = append(m.surplus.release, *t)
		}
	}
	for _, t := range group {
		switch {
		case !t.projected():
		case adopted != nil:
			m.surplus.remove = append(m.surplus.remove, t.Position.String())
		case !m.wanted[t.key]:
		case len(m.records) == maxTwins:
			m.skipped++
		default:
			m.records = append(m.records, t)
		}
	}
}

// pairs ends the matching, and returns what it has found.
func (m *matching) pairs() []pair {
	m.endGroup()
	return pairUp(m.workers, m.records)
}

// among adds to a matching the documents with a sequence that the filter matches.
func (s *Store) among(ctx context.Context, m *matching, filter bson.D) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	return s.eachEvent(ctx, filter, byJob, func(doc bson.Raw) bool { m.add(doc); return true })
}

// eachEvent calls f with the documents of the history that the filter matches, until f
// returns false. f must not keep a document. With fields, documents have only those and
// their _ids.
func (s *Store) eachEvent(ctx context.Context, filter, sort bson.D, f func(bson.Raw) bool, fields ...string) error {
	opts := options.Find().SetBatchSize(matchBatch)
	if len(sort) > 0 {
		opts.SetSort(sort)
	}
	if len(fields) > 0 {
		projection := bson.D{}
		for _, name := range fields {
			projection = append(projection, bson.E{Key: name, Value: 1})
		}
		opts.SetProjection(projection)
	}
	cursor, err := s.events.Find(ctx, filter, opts)
	if err != nil {
		return unreadable(s.events, err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // Else the server's timeout does it.
	for cursor.Next(ctx) {
		if !f(cursor.Current) {
			return nil
		}
	}
	if err := cursor.Err(); err != nil {
		return unreadable(s.events, err)
	}
	return nil
}

func unreadable(collection *mongo.Collection, err error) error {
	return fmt.Errorf("read %s: %w: %w", collection.Name(), ErrUnavailable, err)
}

// matchBatch is how many documents MongoDB is asked for at once. A reply has 16 MiB at
// most.
const matchBatch = 1000

// positionOf returns the position that a document has, the zero one without a sequence.
func positionOf(doc bson.Raw) messaging.Position {
	sequence, ok := doc.Lookup(fieldSequence).AsInt64OK()
	if !ok || sequence < 1 {
		return messaging.Position{}
	}
	return messaging.Position{Epoch: text(doc, fieldEpoch), Sequence: uint64(sequence)}
}
