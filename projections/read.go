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
// them, none when limit is not positive. A page ends early, with one record at
// least, once its bodies come to 1 MiB. Fewer than limit, and less than that, mean
// that MongoDB has no more in that direction.
//
// Batches are written in no order and by several processes, so a record may be
// there before an earlier one: a page is whole up to the sequence that the
// history consumer has acknowledged, and not to be trusted past it.
//
// They fail with [ErrUnavailable] or [ErrIncomplete], and the log answers.
// All of them use the index on jobId, sequence and epoch.

// pageBytes bounds the bodies of one page. The record that reaches it is the
// page's last in the direction of the read.
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

// Locate returns where the job's newest limit records before the position lie.
// No body is read.
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

// firstBatch is how many documents MongoDB is asked for before the size of one is
// known: a batch is held whole, and its documents may be of any size.
const firstBatch = 4

// findEvents returns the records of novel_job_events that the filter matches, in the
// order of sort. Documents that are no events are counted and left out. It ends early
// with the record whose body brings them all to pageBytes.
func (s *Store) findEvents(ctx context.Context, filter, sort bson.D, limit int) (records []messaging.Record, err error) {
	// Each record may have two documents: see repeats.
	cursor, err := s.events.Find(ctx, filter, options.Find().SetSort(sort).SetLimit(2*int64(limit)).SetBatchSize(firstBatch))
	if err != nil {
		return nil, err
	}
	// The driver closes an exhausted cursor itself; this is for the others, and a
	// failure to leaves it to the server's timeout.
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
		// The next batch brings what is left of the page, going by what was read.
		left := max(pageBytes-size, 1) / (read/found + 1)
		cursor.SetBatchSize(int32(min(left+1, limit-len(records)+1, maxPage)))
	}
	return records, cursor.Err()
}

// repeats reports whether a record is the last of records again: while a worker's document
// is being adopted, the record has two for a moment.
func repeats(records []messaging.Record, record messaging.Record) bool {
	return record.Sequence > 0 && len(records) > 0 && records[len(records)-1].Position == record.Position
}

// maxPage bounds the documents that MongoDB is asked for in one reply.
const maxPage = 10_000

// read bounds a read in time and names its failures.
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
