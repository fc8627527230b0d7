package projections

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// replacesPerWrite bounds the heads that one command replaces. FerretDB keeps one of its
// hundred connections to SQLite for every update of a command until the command ends, and
// blocks forever when it has none left. It also reads the collection for each update, which
// must not take longer than [Config.WriteTimeout] in total.
const replacesPerWrite = 16

// head returns the event's document in novel_job_heads, nil for one without a
// status.
func (e event) head(s shape) bson.D {
	var status string
	var snapshot any
	for _, field := range e.fields {
		switch field.Key {
		case fieldStatus:
			status, _ = field.Value.(string)
		case fieldSnapshot:
			snapshot = field.Value
		}
	}
	if status == "" {
		return nil
	}
	if s != shapeFull {
		snapshot = nil
	}
	doc := bson.D{
		{Key: fieldID, Value: e.JobID},
		{Key: fieldJobID, Value: e.JobID},
		{Key: fieldStatus, Value: status},
		{Key: fieldSnapshot, Value: snapshot},
	}
	switch {
	case s == shapeRaw, s == shapeFull && !e.exact:
		doc = append(doc, bson.E{Key: fieldRaw, Value: e.raw})
	case s == shapeBare:
		doc = append(doc, bson.E{Key: fieldOmitted, Value: true})
	}
	return append(doc,
		bson.E{Key: fieldSequence, Value: int64(e.Sequence)},
		bson.E{Key: fieldEpoch, Value: e.Epoch},
		bson.E{Key: fieldEmittedAt, Value: e.EmittedAt},
		bson.E{Key: fieldUpdatedAt, Value: bson.NewDateTimeFromTime(e.StoredAt)},
	)
}

// writeHeads makes the last status of each job in the batch the job's head, unless the head
// is a later one. A job over whose status the write panics keeps its earlier head.
func (s *Store) writeHeads(ctx context.Context, records []messaging.Record) error {
	return s.writeContained(ctx, JobHeads, records, false,
		func(records []messaging.Record, _ bool) error { return s.putHeads(ctx, records) },
		func(messaging.Record) error { return nil })
}

func (s *Store) putHeads(ctx context.Context, records []messaging.Record) error {
	heads := latestHeads(records)
	if len(heads) == 0 {
		return nil
	}
	docs := make([]any, len(heads))
	for i := range heads {
		docs[i] = heads[i].head(shapeFull)
	}
	// Insert new heads first, and replace the others then. An upsert whose filter has the
	// guard would fail with a duplicate key for a stale head, and FerretDB omits the rest of
	// a command after such a failure.
	there, refused, err := s.insertAll(ctx, s.heads, docs)
	if err != nil {
		return err
	}
	moreRefused, err := s.replaceHeads(ctx, heads, there)
	if err != nil {
		return err
	}
	for _, i := range append(refused, moreRefused...) {
		put := func(ctx context.Context, shape shape) error { return s.putHead(ctx, heads[i], shape) }
		if err := s.writeReduced(ctx, JobHeads, heads[i].Record, put); err != nil {
			return err
		}
	}
	return nil
}

// latestHeads returns the last status of each job, in the order of the batch,
// which is that of the log.
func latestHeads(records []messaging.Record) []event {
	last := make(map[string]int)
	for i, record := range records {
		if record.Kind == messaging.KindJobStatus {
			last[record.JobID] = i
		}
	}
	heads := make([]event, 0, len(last))
	for i, record := range records {
		if record.Kind != messaging.KindJobStatus || last[record.JobID] != i {
			continue
		}
		if e := newEvent(record); e.head(shapeBare) != nil {
			heads = append(heads, e)
		}
	}
	return heads
}

// replaceHeads replaces the heads at the indexes, except for those that are not older than
// the new ones, and returns the indexes of those that were refused.
func (s *Store) replaceHeads(ctx context.Context, heads []event, indexes []int) (refused []int, err error) {
	for len(indexes) > 0 {
		chunk := indexes[:min(replacesPerWrite, len(indexes))]
		indexes = indexes[len(chunk):]
		models := make([]mongo.WriteModel, len(chunk))
		for n, i := range chunk {
			models[n] = mongo.NewReplaceOneModel().SetFilter(older(heads[i])).SetReplacement(heads[i].head(shapeFull))
		}
		failed, err := s.bulkWrite(ctx, models)
		if err != nil {
			return nil, err
		}
		for _, n := range failed {
			refused = append(refused, chunk[n])
		}
	}
	return refused, nil
}

// bulkWrite returns the indexes of the models that were refused: all of them when any
// was. An error means an outage.
func (s *Store) bulkWrite(ctx context.Context, models []mongo.WriteModel) (refused []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	_, err = s.heads.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	switch {
	case err == nil:
		return nil, nil
	case isOutage(err):
		return nil, fmt.Errorf("replace %d documents in %s: %w", len(models), headsCollection, err)
	}
	// All of them count as refused: FerretDB does not carry out those after the first.
	for n := range models {
		refused = append(refused, n)
	}
	return refused, nil
}

// putHead writes one head unless a later one is there.
func (s *Store) putHead(ctx context.Context, e event, shape shape) error {
	_, err := s.heads.InsertOne(ctx, e.head(shape))
	if !mongo.IsDuplicateKeyError(err) {
		return err
	}
	_, err = s.heads.ReplaceOne(ctx, older(e), e.head(shape))
	return err
}

// older matches the head that e comes after: one with a lower sequence, or one
// of another epoch, with which sequences do not compare.
func older(e event) bson.D {
	return bson.D{
		{Key: fieldID, Value: e.JobID},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: fieldEpoch, Value: bson.D{{Key: "$ne", Value: e.Epoch}}}},
			bson.D{{Key: fieldSequence, Value: bson.D{{Key: "$lt", Value: int64(e.Sequence)}}}},
		}},
	}
}
