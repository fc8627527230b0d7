package projections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// The reads below return records of one epoch, oldest first, at most limit of
// them, and none when limit is not positive. A page ends early once its bodies have 1 MiB,
// but has at least one record. A page with fewer records than limit and less than 1 MiB
// means that MongoDB has no more in that direction.
//
// Several processes write batches, in no order, so that a record may be there before an
// earlier one. Hence a page is complete only up to the sequence that the history
// consumer has acknowledged, and callers must not rely on it beyond that.
//
// The reads fail with [ErrUnavailable] or [ErrIncomplete]; callers then read the log.
// All of them use the index on jobId, sequence and epoch.

// pageBytes bounds the bodies of one page. The record with which they reach the bound is
// the last one of the page, in the direction of the read.
const pageBytes = 1 << 20

// ReadAfter returns the job's records after the position.
func (s *Store) ReadAfter(
	ctx context.Context, jobID string, after messaging.Position, limit int,
) ([]messaging.Record, error) {
	filter := sequenced(jobID, after.Epoch, bson.D{{Key: "$gt", Value: stored(after.Sequence)}})
	return s.readEvents(ctx, filter, bson.D{{Key: fieldSequence, Value: 1}}, limit)
}

// ReadBefore returns the job's newest records before the position. A page that
// ends early has the newest ones.
func (s *Store) ReadBefore(
	ctx context.Context, jobID string, before messaging.Position, limit int,
) ([]messaging.Record, error) {
	records, err := s.readEvents(ctx, preceding(jobID, before), newestFirst, limit)
	slices.Reverse(records)
	return records, err
}

// Locate returns the span of the job's newest limit records before the position, without
// reading a body.
func (s *Store) Locate(
	ctx context.Context, jobID string, before messaging.Position, limit int,
) (span messaging.Span, err error) {
	if limit <= 0 {
		return messaging.Span{}, nil
	}
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		span = messaging.Span{}
		// The index alone answers.
		cursor, err := s.events.Find(ctx, preceding(jobID, before), options.Find().SetSort(newestFirst).
			SetProjection(bson.D{{Key: fieldID, Value: 0}, {Key: fieldSequence, Value: 1}}).
			SetLimit(2*int64(limit)+2).SetBatchSize(int32(min(limit, maxPage)+2)))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(ctx) }() // as in findEvents
		for cursor.Next(ctx) {
			found, _ := cursor.Current.Lookup(fieldSequence).AsInt64OK()
			sequence := uint64(found)
			if sequence == span.First {
				continue // see repeats
			}
			if span.Count == limit {
				span.Older = true
				break
			}
			if span.Count == 0 {
				span.Last = sequence
			}
			span.First = sequence
			span.Count++
		}
		return cursor.Err()
	})
	if err != nil {
		return messaging.Span{}, err
	}
	return span, nil
}

var newestFirst = bson.D{{Key: fieldSequence, Value: -1}}

func preceding(jobID string, before messaging.Position) bson.D {
	return sequenced(jobID, before.Epoch,
		bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lt", Value: stored(before.Sequence)}})
}

func sequenced(jobID, epoch string, sequences bson.D) bson.D {
	return bson.D{
		{Key: fieldJobID, Value: jobID},
		{Key: fieldEpoch, Value: epoch},
		{Key: fieldSequence, Value: sequences},
	}
}

// stored returns a sequence as documents hold it. A client may ask for more than
// any sequence can be.
func stored(sequence uint64) int64 { return int64(min(sequence, math.MaxInt64)) }

func (s *Store) readEvents(ctx context.Context, filter, sort bson.D, limit int) (records []messaging.Record, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		records, err = s.findEvents(ctx, filter, sort, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// firstBatch is how many documents are requested from MongoDB before the size of one is
// known: a whole batch is in memory, and its documents may be of any size.
const firstBatch = 4

// findEvents returns the records of novel_job_events that the filter matches, in the
// order of sort. Documents that are not events are counted and left out. It ends early,
// with the record at which the bodies reach pageBytes.
func (s *Store) findEvents(ctx context.Context, filter, sort bson.D, limit int) (records []messaging.Record, err error) {
	// Each record may have two documents: see repeats.
	cursor, err := s.events.Find(ctx, filter, options.Find().SetSort(sort).SetLimit(2*int64(limit)).SetBatchSize(firstBatch))
	if err != nil {
		return nil, err
	}
	// The driver closes an exhausted cursor itself; this is for the others. If it fails, the
	// server closes the cursor after its timeout.
	defer func() { _ = cursor.Close(ctx) }()
	for found, read, size := 0, 0, 0; len(records) < limit && size < pageBytes && cursor.Next(ctx); {
		found, read = found+1, read+len(cursor.Current)
		record, err := decodeRecord(cursor.Current)
		switch {
		case err == nil && repeats(records, record): // see adopt.go
		case err == nil:
			records, size = append(records, record), size+len(record.Body)
		case errors.Is(err, ErrIncomplete):
			return nil, err
		default:
			s.metrics.malformed.Inc()
		}
		// The next batch has what is left of the page, at the average size so far.
		left := max(pageBytes-size, 1) / (read/found + 1)
		cursor.SetBatchSize(int32(min(left+1, limit-len(records)+1, maxPage)))
	}
	return records, cursor.Err()
}

// repeats reports whether a record equals the last of records: while a worker's document is
// being adopted, the record has two documents for a moment.
func repeats(records []messaging.Record, record messaging.Record) bool {
	return record.Sequence > 0 && len(records) > 0 && records[len(records)-1].Position == record.Position
}

// maxPage bounds the documents that MongoDB is asked for in one reply.
const maxPage = 10_000

// read runs a read within the time limit, and classifies its error.
func (s *Store) read(ctx context.Context, collection string, read func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	err := read(bounded)
	switch {
	case err == nil || errors.Is(err, mongo.ErrNoDocuments):
		return err
	case errors.Is(err, ErrIncomplete):
		return fmt.Errorf("read %s: %w", collection, err)
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("read %s: %w", collection, context.Cause(ctx))
	}
	return fmt.Errorf("read %s: %w: %w", collection, ErrUnavailable, err)
}
