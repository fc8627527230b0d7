package projections

import (
	"bytes"
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
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

// surplus are documents that are one too many for their record, because an adoption was
// interrupted, raced with another, or a record was written once more after it.
type surplus struct {
	remove  bson.A // _ids of the projection's own, beside an adopted one
	release []twin // adopted ones, beside another
}

func (s surplus) count() int { return len(s.remove) + len(s.release) }

func (s *surplus) add(other surplus) {
	s.remove, s.release = append(s.remove, other.remove...), append(s.release, other.release...)
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

// endGroup decides what becomes of the documents of one record.
func (m *matching) endGroup() {
	group := m.group
	m.group = m.group[:0]
	adopted := 0
	for _, t := range group {
		if !t.adopted {
			continue
		}
		if adopted++; adopted > 1 {
			m.surplus.release = append(m.surplus.release, t)
		}
	}
	for _, t := range group {
		switch {
		case !t.projected():
		case adopted > 0:
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
// reports false. The documents are f's only while it runs.
func (s *Store) eachEvent(ctx context.Context, filter, sort bson.D, f func(bson.Raw) bool) error {
	cursor, err := s.events.Find(ctx, filter, options.Find().SetSort(sort).SetBatchSize(matchBatch))
	if err != nil {
		return fmt.Errorf("read %s: %w: %w", s.events.Name(), ErrUnavailable, err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // Else the server's timeout does it.
	for cursor.Next(ctx) {
		if !f(cursor.Current) {
			return nil
		}
	}
	if err := cursor.Err(); err != nil {
		return fmt.Errorf("read %s: %w: %w", s.events.Name(), ErrUnavailable, err)
	}
	return nil
}

// matchBatch is how many documents MongoDB is asked for at once.
const matchBatch = 256

// settle carries out what a matching has found, and returns how many documents are fewer
// for it.
func (s *Store) settle(ctx context.Context, pairs []pair, surplus surplus) (mended int, err error) {
	for len(surplus.remove) > 0 {
		chunk := surplus.remove[:min(matchBatch, len(surplus.remove))]
		surplus.remove = surplus.remove[len(chunk):]
		if err := s.removeEvents(ctx, chunk); err != nil {
			return mended, err
		}
		mended += len(chunk)
	}
	for _, t := range surplus.release {
		if err := s.release(ctx, t.idValue(), t.Position); err != nil {
			return mended, err
		}
	}
	for len(pairs) > 0 {
		chunk := pairs[:min(adoptsPerWrite, len(pairs))]
		pairs = pairs[len(chunk):]
		n, err := s.adoptChunk(ctx, chunk)
		if mended += n; err != nil {
			return mended, err
		}
	}
	return mended, nil
}

// load reads the documents of pairs, which a matching does not keep. Pairs one of whose
// documents is no longer as it was are left out, and so are those whose record has an
// adopted document already: surplus has the _ids of the projection's own of these.
func (s *Store) load(ctx context.Context, pairs []pair) (loaded []pair, surplus bson.A, err error) {
	docs := make(map[string]bson.Raw, 2*len(pairs))
	taken := make(map[messaging.Position]bool)
	var ids, jobs, sequences bson.A
	for _, p := range pairs {
		for _, t := range []twin{p.worker, p.record} {
			ids = append(ids, t.idValue())
		}
		jobs, sequences = append(jobs, p.record.key.jobID), append(sequences, int64(p.record.Sequence))
	}
	filter := bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}},
		bson.D{{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: jobs}}}, {Key: fieldSequence, Value: bson.D{{Key: "$in", Value: sequences}}}},
	}}}
	err = s.eachEvent(ctx, filter, bson.D{}, func(doc bson.Raw) bool {
		docs[string(idOf(doc))] = bytes.Clone(doc)
		if isAdopted(doc) {
			taken[positionOf(doc)] = true
		}
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	for _, p := range pairs {
		p.worker.doc, p.record.doc = docs[string(p.worker.id)], docs[string(p.record.id)]
		worker, ok := twinOf(p.worker.doc)
		record, also := twinOf(p.record.doc)
		switch {
		case taken[p.record.Position]:
			surplus = append(surplus, p.record.Position.String())
		case ok && also && worker.Sequence == 0 && worker.key == record.key:
			loaded = append(loaded, p)
		}
	}
	return loaded, surplus, nil
}

// positionOf returns the position that a document has, the zero one without a sequence.
func positionOf(doc bson.Raw) messaging.Position {
	sequence, ok := doc.Lookup(fieldSequence).AsInt64OK()
	if !ok || sequence < 1 {
		return messaging.Position{}
	}
	return messaging.Position{Epoch: text(doc, fieldEpoch), Sequence: uint64(sequence)}
}
