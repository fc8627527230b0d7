package projections

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// Adoption makes a worker's document that of a record: it gets the record's sequence,
// epoch and id, and the projection's own document of the record is removed.
//
//	worker's:   {_id: ObjectId, jobId, kind, emittedAt, event, createdAt, …}
//	ours:       {_id: "<epoch>:7", jobId, kind, emittedAt, event, sequence: 7, epoch, createdAt, …}
//	adopted:    {_id: ObjectId, …the worker's…, sequence: 7, epoch, logStoredAt, logEmittedAt?, eventId?, traceparent?, raw?}
//
// In this order, so that at no moment the record has no document: a reader by sequence
// may see two for a moment, and takes one of them.
//
// logStoredAt is in adopted documents alone. With logEmittedAt and raw, which are there
// where the worker's own fields do not say the same, it gives the record back byte for
// byte, as the removed document did.
const (
	fieldLogStoredAt  = "logStoredAt"
	fieldLogEmittedAt = "logEmittedAt"
)

// isAdopted reports whether a document is a worker's that was adopted.
func isAdopted(doc bson.Raw) bool {
	_, ok := doc.Lookup(fieldLogStoredAt).TimeOK()
	return ok
}

// adoptsPerWrite bounds the documents that one command adopts, for the same reason as
// replacesPerWrite.
const adoptsPerWrite = 16

// adoptChunk makes the documents of at most adoptsPerWrite pairs one each, and returns
// how many it made so. Pairs whose documents somebody has changed or adopted meanwhile
// are left alone.
func (s *Store) adoptChunk(ctx context.Context, chunk []pair) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	before, err := s.witness(ctx)
	if err != nil {
		return 0, err
	}
	chunk, surplus, err := s.load(ctx, chunk)
	if err != nil {
		return 0, err
	}
	if err := s.removeEvents(ctx, surplus); err != nil || len(chunk) == 0 {
		return len(surplus), err
	}
	var models []mongo.WriteModel
	var ours, theirs bson.A
	for _, p := range chunk {
		set, err := adoption(p.worker.doc, p.record.doc)
		if err != nil {
			return 0, err
		}
		id := p.worker.doc.Lookup(fieldID)
		filter := bson.D{{Key: fieldID, Value: id}, {Key: fieldSequence, Value: nil}}
		models = append(models, mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$set", Value: set}}))
		ours, theirs = append(ours, p.record.Position.String()), append(theirs, id)
	}
	result, err := s.events.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return 0, fmt.Errorf("adopt %d documents of %s: %w", len(models), s.events.Name(), err)
	}
	if int(result.ModifiedCount) < len(models) {
		if ours, err = s.adoptedAs(ctx, chunk, theirs); err != nil || len(ours) == 0 {
			return 0, err
		}
	}
	if err := s.removeEvents(ctx, ours); err != nil {
		return 0, err
	}
	// A swap may have come between the two writes: then the adopted document is in the
	// collection that was put aside, and the removed one is missing in its place.
	after, err := s.witness(ctx)
	if err == nil && after == before {
		return len(ours), nil
	}
	for _, p := range chunk {
		if _, err := s.events.InsertOne(ctx, p.record.doc); err != nil && !mongo.IsDuplicateKeyError(err) {
			return 0, fmt.Errorf("put back a document of %s after a swap: %w", s.events.Name(), err)
		}
	}
	return 0, err
}

// adoptedAs returns the _ids of the projection's own documents whose twins have been
// adopted for them.
func (s *Store) adoptedAs(ctx context.Context, chunk []pair, workers bson.A) (ours bson.A, err error) {
	cursor, err := s.events.Find(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: workers}}}})
	if err != nil {
		return nil, fmt.Errorf("look for adopted documents: %w", err)
	}
	defer func() { _ = cursor.Close(ctx) }()
	for cursor.Next(ctx) {
		position := positionOf(cursor.Current)
		for _, p := range chunk {
			if p.record.Position == position && bytes.Equal(p.worker.id, idOf(cursor.Current)) {
				ours = append(ours, position.String())
			}
		}
	}
	return ours, cursor.Err()
}

// removeEvents removes documents of the projection's own.
func (s *Store) removeEvents(ctx context.Context, ids bson.A) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := s.events.DeleteMany(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}}); err != nil {
		return fmt.Errorf("remove %d documents of adopted events from %s: %w", len(ids), s.events.Name(), err)
	}
	return nil
}

// adoption returns the fields that make a worker's document that of the record of which
// ours is the projection's.
func adoption(worker, ours bson.Raw) (bson.D, error) {
	record, err := decodeRecord(ours)
	if err != nil {
		return nil, err
	}
	set := bson.D{
		{Key: fieldSequence, Value: int64(record.Sequence)},
		{Key: fieldEpoch, Value: record.Epoch},
		{Key: fieldLogStoredAt, Value: bson.NewDateTimeFromTime(record.StoredAt)},
	}
	if timeText(worker.Lookup(fieldEmittedAt)) != record.EmittedAt {
		set = append(set, bson.E{Key: fieldLogEmittedAt, Value: record.EmittedAt})
	}
	if record.ID != "" {
		set = append(set, bson.E{Key: fieldEventID, Value: record.ID})
	}
	if record.TraceParent != "" {
		set = append(set, bson.E{Key: fieldTraceParent, Value: record.TraceParent})
	}
	own, err := appendEnvelope(nil, record, worker)
	if err != nil || !bytes.Equal(own, record.Body) {
		set = append(set, bson.E{Key: fieldRaw, Value: string(record.Body)})
	}
	return set, nil
}

// release makes an adopted document a worker's again.
func (s *Store) release(ctx context.Context, id bson.RawValue, position messaging.Position) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	unset := bson.D{}
	for _, name := range []string{
		fieldSequence, fieldEpoch, fieldLogStoredAt, fieldLogEmittedAt, fieldEventID, fieldTraceParent, fieldRaw,
	} {
		unset = append(unset, bson.E{Key: name, Value: ""})
	}
	filter := bson.D{{Key: fieldID, Value: id}, {Key: fieldSequence, Value: int64(position.Sequence)}}
	if _, err := s.events.UpdateOne(ctx, filter, bson.D{{Key: "$unset", Value: unset}}); err != nil {
		return fmt.Errorf("release an adopted document: %w", err)
	}
	return nil
}

// asProjected returns the document that the projection made of an adopted document's
// record, and any other document as it is.
func asProjected(doc bson.Raw) bson.Raw {
	if !isAdopted(doc) {
		return doc
	}
	record, err := decodeRecord(doc)
	if err != nil {
		return doc
	}
	raw, err := bson.Marshal(newEvent(record).document(shapeFull))
	if err != nil {
		return doc
	}
	return raw
}

// madeAt returns when an older writer made its document.
func madeAt(doc bson.Raw) time.Time {
	if created, ok := doc.Lookup(fieldCreatedAt).TimeOK(); ok {
		return created.UTC()
	}
	if id, ok := doc.Lookup(fieldID).ObjectIDOK(); ok {
		return id.Timestamp()
	}
	return time.Time{}
}
