package projections

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/messaging"
)

// Adoption turns a worker's document into the document of a record: it gets the record's
// sequence, epoch and id, and then the projection's own document of the record is removed.
//
//	worker's:   {_id: ObjectId, jobId, kind, emittedAt, event, createdAt, …}
//	ours:       {_id: "<epoch>:7", jobId, kind, emittedAt, event, sequence: 7, epoch, createdAt, …}
//	adopted:    {_id: ObjectId, …the worker's…, sequence: 7, epoch, logStoredAt, logEmittedAt?, eventId?, traceparent?, raw?}
//
// In this order the record has a document at every moment. A reader by sequence may find two
// for a moment, and uses one of them.
//
// Only adopted documents have logStoredAt. Together with logEmittedAt and raw, which exist
// where the worker's own fields differ from the record's, it restores the record byte for
// byte, as the removed document did.
const (
	fieldLogStoredAt  = "logStoredAt"
	fieldLogEmittedAt = "logEmittedAt"
)

// isAdopted reports whether a document was written by a worker and adopted.
func isAdopted(doc bson.Raw) bool {
	_, ok := doc.Lookup(fieldLogStoredAt).TimeOK()
	return ok
}

const (
	// maxAdopts and maxAdoptBytes bound the pairs that are adopted together. Their documents
	// are in memory meanwhile, at most twice maxAdoptBytes and one pair.
	maxAdopts     = 500
	maxAdoptBytes = 8 << 20
	// ferretUpdates bounds the updates of one command to FerretDB, for the same reason as
	// replacesPerWrite.
	ferretUpdates = 16
	// ferretAdopts bounds the pairs that are adopted together in FerretDB: it takes long for
	// each, and all of them stand twice until the last is updated.
	ferretAdopts = 5 * ferretUpdates
)

// refusedError names documents that MongoDB has refused to adopt. The others are adopted.
type refusedError struct {
	ids  []string // type and bytes of each _id
	code int      // the last refusal's; the message may quote the document
}

func (e refusedError) Error() string {
	return fmt.Sprintf("%d documents were refused (code %d)", len(e.ids), e.code)
}

// adopt leaves one document of each pair, and returns how many documents it has removed. It
// calls before ahead of each part of the work, and returns its error. When MongoDB
// refuses documents, adopt continues with the others, and returns a [refusedError].
func (s *Store) adopt(ctx context.Context, pairs []pair, before func(context.Context) error) (mended int, err error) {
	if len(pairs) == 0 {
		return 0, nil
	}
	var refused refusedError
	seen, err := s.witness(ctx)
	if err != nil {
		return 0, err
	}
	limit, err := s.updatesPerCommand(ctx)
	if err != nil {
		return 0, err
	}
	atOnce := maxAdopts
	if limit < maxAdopts {
		atOnce = ferretAdopts
	}
	for len(pairs) > 0 {
		if before != nil {
			if err := before(ctx); err != nil {
				return mended, err
			}
		}
		size, end := 0, 0
		for end < len(pairs) && end < atOnce && (end == 0 || size < maxAdoptBytes) {
			size += pairs[end].worker.size + pairs[end].record.size
			end++
		}
		var n int
		n, seen, err = s.adoptChunk(ctx, pairs[:end], seen, &refused)
		if mended += n; err != nil {
			return mended, err
		}
		pairs = pairs[end:]
	}
	if len(refused.ids) > 0 {
		return mended, refused
	}
	return mended, nil
}

// removeSurplus leaves one document of each record, and returns how many documents it has
// removed.
func (s *Store) removeSurplus(ctx context.Context, surplus surplus) (removed int, err error) {
	for len(surplus.remove) > 0 {
		chunk := surplus.remove[:min(matchBatch, len(surplus.remove))]
		surplus.remove = surplus.remove[len(chunk):]
		if err := s.removeEvents(ctx, chunk); err != nil {
			return removed, err
		}
		removed += len(chunk)
	}
	for _, t := range surplus.release {
		if err := s.release(ctx, t.idValue(), t.Position); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// adoptChunk leaves one document of each of at most maxAdopts pairs, and returns how many
// documents it has removed. It passes over pairs whose documents were changed or adopted
// meanwhile. before is the witness at the last look, and after the witness now.
func (s *Store) adoptChunk(ctx context.Context, chunk []pair, before sighting, refused *refusedError) (fewer int, after sighting, err error) {
	chunk, surplus, err := s.load(ctx, chunk)
	if err != nil {
		return 0, before, err
	}
	updates := make([]update, 0, len(chunk))
	var ours, theirs bson.A
	for _, p := range chunk {
		set, err := adoption(p.worker.doc, p.record.doc)
		if err != nil {
			return 0, before, err
		}
		id := p.worker.doc.Lookup(fieldID)
		filter := bson.D{{Key: fieldID, Value: id}, {Key: fieldSequence, Value: nil}}
		updates = append(updates, update{id, mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$set", Value: set}})})
		ours, theirs = append(ours, p.record.Position.String()), append(theirs, id)
	}
	modified, err := s.updateAll(ctx, updates, refused)
	if err != nil {
		return 0, before, err
	}
	if modified < len(chunk) {
		if ours, err = s.adoptedAs(ctx, chunk, theirs); err != nil {
			return 0, before, err
		}
	}
	ours = append(ours, surplus...)
	if err := s.removeEvents(ctx, ours); err != nil || len(ours) == len(surplus) {
		return len(ours), before, err
	}
	// A swap may have come between the two writes: then the adopted document is in the
	// collection that was put aside, and the removed one is missing in its place.
	after, err = s.witness(ctx)
	if err == nil && after.same(before) {
		return len(ours), after, nil
	}
	docs := make([]any, len(chunk))
	for i, p := range chunk {
		docs[i] = p.record.doc
	}
	if _, again, failed := s.insertAll(ctx, s.events, docs); failed != nil || len(again) > 0 {
		return 0, after, fmt.Errorf("put back documents of %s after a swap: %w", s.events.Name(), cmp.Or(failed, errRefused))
	}
	return 0, after, err
}

// update is the command that adopts one worker's document for a record.
type update struct {
	id    bson.RawValue
	model *mongo.UpdateOneModel
}

// updateAll executes updates, as many with one command as the server takes, and returns how
// many documents it has changed. It adds the documents that MongoDB refused to refused.
func (s *Store) updateAll(ctx context.Context, updates []update, refused *refusedError) (modified int, err error) {
	limit, err := s.updatesPerCommand(ctx)
	if err != nil {
		return 0, err
	}
	for len(updates) > 0 {
		part := updates[:min(limit, len(updates))]
		updates = updates[len(part):]
		for len(part) > 0 { // Each round executes all, or removes at least one that was refused.
			models := make([]mongo.WriteModel, len(part))
			for i := range part {
				models[i] = part[i].model
			}
			result, err := s.sendUpdates(ctx, models)
			if result != nil {
				modified += int(result.ModifiedCount)
			}
			var bulk mongo.BulkWriteException
			if err != nil && (isOutage(err) || !errors.As(err, &bulk) || len(bulk.WriteErrors) == 0) {
				return modified, fmt.Errorf("adopt %d documents of %s: %w", len(models), s.events.Name(), err)
			}
			if err == nil {
				break
			}
			// Some servers omit the updates after one that they refuse. Updating a document
			// again changes nothing.
			rest := make([]update, 0, len(part))
			for i, u := range part {
				if slices.ContainsFunc(bulk.WriteErrors, func(e mongo.BulkWriteError) bool { return e.Index == i }) {
					refused.ids, refused.code = append(refused.ids, nameOf(u.id)), codeOf(err)
				} else {
					rest = append(rest, u)
				}
			}
			if len(rest) == len(part) {
				return modified, fmt.Errorf("adopt %d documents of %s: %w", len(models), s.events.Name(), err)
			}
			part = rest
		}
	}
	return modified, nil
}

func (s *Store) sendUpdates(ctx context.Context, models []mongo.WriteModel) (*mongo.BulkWriteResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	return s.events.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
}

// updatesPerCommand returns how many updates one command may have, which depends on the
// kind of server. It requests that from the server once.
func (s *Store) updatesPerCommand(ctx context.Context) (int, error) {
	if limit := s.updates.Load(); limit > 0 {
		return int(limit), nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	var build struct {
		Ferret string `bson:"ferretdbVersion"`
	}
	if err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err != nil {
		return 0, fmt.Errorf("ask MongoDB for its version: %w", err)
	}
	limit := maxAdopts
	if build.Ferret != "" {
		limit = ferretUpdates
	}
	s.updates.Store(int64(limit))
	return limit, nil
}

// load reads the documents of pairs, which a matching does not keep. It leaves out a pair
// when one of its documents has changed, or when the record has an adopted document already.
// surplus has the _ids of the projection's own documents of the latter.
func (s *Store) load(ctx context.Context, pairs []pair) (loaded []pair, surplus bson.A, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	docs := make(map[string]bson.Raw, 2*len(pairs))
	taken := make(map[messaging.Position]bool)
	var ids, sequences bson.A
	var jobs []string
	for _, p := range pairs {
		ids = append(ids, p.worker.idValue(), p.record.idValue())
		jobs, sequences = append(jobs, p.record.key.jobID), append(sequences, int64(p.record.Sequence))
	}
	group, groupCtx := errgroup.WithContext(ctx)
	s.join(group, func() error {
		return s.eachEvent(groupCtx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}}, nil, func(doc bson.Raw) bool {
			docs[nameOf(doc.Lookup(fieldID))] = bytes.Clone(doc)
			return true
		})
	})
	s.join(group, func() error {
		adopted := bson.D{
			{Key: fieldJobID, Value: oneOf(jobs)},
			{Key: fieldSequence, Value: bson.D{{Key: "$in", Value: sequences}}},
			{Key: fieldLogStoredAt, Value: bson.D{{Key: "$exists", Value: true}}},
		}
		return s.eachEvent(groupCtx, adopted, nil, func(doc bson.Raw) bool {
			taken[positionOf(doc)] = true
			return true
		}, fieldSequence, fieldEpoch)
	})
	if err := group.Wait(); err != nil {
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

// adoptedAs returns the _ids of the projection's own documents whose twins have been
// adopted for them.
func (s *Store) adoptedAs(ctx context.Context, chunk []pair, workers bson.A) (ours bson.A, err error) {
	if len(workers) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
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
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if _, err := s.events.DeleteMany(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}}); err != nil {
		return fmt.Errorf("remove %d documents of adopted events from %s: %w", len(ids), s.events.Name(), err)
	}
	return nil
}

// adoption returns the fields that turn a worker's document into that of a record. ours is
// the projection's document of the record.
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

// release takes an adoption back: the document has the worker's fields alone again.
func (s *Store) release(ctx context.Context, id bson.RawValue, position messaging.Position) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	unset := bson.D{}
	for _, name := range []string{
		fieldSequence, fieldEpoch, fieldLogStoredAt, fieldLogEmittedAt, fieldEventID, fieldTraceParent, fieldRaw,
	} {
		unset = append(unset, bson.E{Key: name, Value: ""})
	}
	filter := bson.D{{Key: fieldID, Value: id}, {Key: fieldSequence, Value: int64(position.Sequence)}, {Key: fieldEpoch, Value: position.Epoch}}
	if _, err := s.events.UpdateOne(ctx, filter, bson.D{{Key: "$unset", Value: unset}}); err != nil {
		return fmt.Errorf("release an adopted document: %w", err)
	}
	return nil
}

// asProjected returns, for an adopted document, the document that the projection would
// write of its record, and any other document as it is.
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

// madeAt returns the time at which an older writer created its document.
func madeAt(doc bson.Raw) time.Time {
	if created, ok := doc.Lookup(fieldCreatedAt).TimeOK(); ok {
		return created.UTC()
	}
	if id, ok := doc.Lookup(fieldID).ObjectIDOK(); ok {
		return id.Timestamp()
	}
	return time.Time{}
}
