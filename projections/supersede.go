package projections

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/messaging"
)

// A new epoch of the log begins with the records that are left of the one before, under
// the same sequences. They are projected again, so that each then has a second document, of
// the earlier epoch.

// supersede removes the documents of other epochs that are of the same events as records,
// which have been projected. It returns how many documents it has removed. A document that
// a worker wrote is adopted for the record, and the projection's own is removed. Documents of
// events that the log has lost stay: they may be the only copy.
func (s *Store) supersede(ctx context.Context, records []messaging.Record) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	bySequence := make(map[uint64]messaging.Record, len(records))
	var jobs []string
	var sequences bson.A
	for _, record := range records {
		bySequence[record.Sequence] = record
		jobs, sequences = append(jobs, record.JobID), append(sequences, stored(record.Sequence))
	}
	filter := bson.D{
		{Key: fieldJobID, Value: oneOf(jobs)},
		{Key: fieldSequence, Value: bson.D{{Key: "$in", Value: sequences}}},
		{Key: fieldEpoch, Value: bson.D{{Key: "$ne", Value: records[0].Epoch}}},
	}
	var gone bson.A
	var updates []update
	ours := make(map[string]string) // the documents in whose place others are adopted
	var failure error
	err = s.eachEvent(ctx, filter, nil, func(doc bson.Raw) bool {
		record, found := bySequence[positionOf(doc).Sequence]
		if !found || !isOf(doc, record) {
			return true
		}
		t, _ := twinOf(doc)
		switch {
		case t.projected():
			gone = append(gone, t.Position.String())
		case t.adopted:
			var u update
			if u, failure = readoption(doc, record); failure != nil {
				return false
			}
			updates = append(updates, u)
			ours[nameOf(u.id)] = record.Position.String()
		}
		return true
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return 0, err
	}
	var refused refusedError
	if _, err := s.updateAll(ctx, updates, &refused); err != nil {
		return 0, err
	}
	if len(refused.ids) > 0 {
		// The event stands twice, and holds up no other.
		s.noteRefused(ctx, refused)
	}
	for _, id := range refused.ids {
		delete(ours, id)
	}
	for _, id := range ours {
		gone = append(gone, id)
	}
	return len(gone), s.removeEvents(ctx, gone)
}

// readoption returns the update that adopts a document for a record, which was adopted in
// another epoch before.
func readoption(doc bson.Raw, record messaging.Record) (update, error) {
	ours, err := bson.Marshal(newEvent(record).document(shapeFull))
	if err != nil {
		return update{}, err
	}
	set, err := adoption(doc, ours)
	if err != nil {
		return update{}, err
	}
	id := doc.Lookup(fieldID)
	id = bson.RawValue{Type: id.Type, Value: append([]byte{}, id.Value...)}
	filter := bson.D{{Key: fieldID, Value: id}, {Key: fieldEpoch, Value: text(doc, fieldEpoch)}}
	return update{id, mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$set", Value: set}})}, nil
}

// isOf reports whether a document of another epoch is of the same event as a record of the
// same sequence: the job, the kind, the content, the id and the time are the same.
func isOf(doc bson.Raw, record messaging.Record) bool {
	earlier, err := decodeRecord(doc)
	if err != nil || earlier.JobID != record.JobID || earlier.EmittedAt != record.EmittedAt || earlier.ID != record.ID {
		return false
	}
	a, ok := newTwin(earlier)
	b, also := newTwin(record)
	return ok && also && a.key == b.key
}

// epochs collects the records of the current epoch whose events have documents of other
// epochs, too. Documents are added in the order byJob.
type epochs struct {
	current string
	docs    []bson.Raw // of one sequence of a job
	records []messaging.Record
	size    int // of the bodies of records
}

// full reports whether records has as many as one call of supersede takes.
func (e *epochs) full() bool { return len(e.records) >= matchBatch || e.size >= maxAdoptBytes }

// add adds the next document that has a sequence.
func (e *epochs) add(doc bson.Raw) {
	if len(e.docs) > 0 && positionOf(e.docs[0]).Sequence != positionOf(doc).Sequence {
		e.end()
	}
	e.docs = append(e.docs, append(bson.Raw{}, doc...))
}

// end ends the documents of one sequence.
func (e *epochs) end() {
	docs := e.docs
	e.docs = e.docs[:0]
	if len(docs) < 2 {
		return
	}
	for _, doc := range docs {
		record, err := decodeRecord(doc)
		if record.Epoch != e.current || err != nil {
			continue
		}
		for _, other := range docs {
			if text(other, fieldEpoch) != e.current && isOf(other, record) {
				e.records, e.size = append(e.records, record), e.size+len(record.Body)
				return
			}
		}
		return
	}
}
