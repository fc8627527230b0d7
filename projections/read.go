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
// them, none when limit is not positive. Fewer than limit means that MongoDB has
// no more in that direction; only [Store.ReadAfter] may end a page before that.
//
// Batches are written in no order and by several processes, so a record may be
// there before an earlier one: a page is whole up to the sequence that the
// history consumer has acknowledged, and not to be trusted past it.
//
// They fail with [ErrUnavailable] or [ErrIncomplete], and the log answers.
// All of them use the index on jobId, sequence and epoch.

// pageBytes bounds the bodies of one page that is read forwards. The record that
// reaches it is the page's last.
const pageBytes = 1 << 20

// ReadAfter returns the job's records after the position. It also ends early, with
// one record at least, once their bodies come to 1 MiB.
func (s *Store) ReadAfter(
	ctx context.Context, jobID string, after messaging.Position, limit int,
) ([]messaging.Record, error) {
	filter := sequenced(jobID, after.Epoch, bson.D{{Key: "$gt", Value: stored(after.Sequence)}})
	return s.readEvents(ctx, filter, bson.D{{Key: fieldSequence, Value: 1}}, limit, pageBytes)
}

// ReadNewest returns the job's newest records.
func (s *Store) ReadNewest(ctx context.Context, jobID, epoch string, limit int) ([]messaging.Record, error) {
	filter := sequenced(jobID, epoch, bson.D{{Key: "$gt", Value: int64(0)}})
	return reversed(s.readEvents(ctx, filter, bson.D{{Key: fieldSequence, Value: -1}}, limit, math.MaxInt))
}

// ReadBefore returns the job's newest records before the position.
func (s *Store) ReadBefore(
	ctx context.Context, jobID string, before messaging.Position, limit int,
) ([]messaging.Record, error) {
	filter := sequenced(jobID, before.Epoch,
		bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lt", Value: stored(before.Sequence)}})
	return reversed(s.readEvents(ctx, filter, bson.D{{Key: fieldSequence, Value: -1}}, limit, math.MaxInt))
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

func reversed(records []messaging.Record, err error) ([]messaging.Record, error) {
	slices.Reverse(records)
	return records, err
}

func (s *Store) readEvents(ctx context.Context, filter, sort bson.D, limit, maxBytes int) ([]messaging.Record, error) {
	if limit <= 0 {
		return nil, nil
	}
	records, found, err := s.findEvents(ctx, filter, sort, limit, maxBytes)
	if err == nil && found == limit && len(records) < limit {
		// Some records have two documents, see repeats, and so the page is not full.
		records, _, err = s.findEvents(ctx, filter, sort, 2*limit, maxBytes)
	}
	return records[:min(len(records), limit)], err
}

// findEvents returns the records of novel_job_events that the filter matches, in
// the order of sort, and how many documents that took: older writers' that are no
// events are counted and left out. It ends early with the record whose body
// brings them all to maxBytes.
func (s *Store) findEvents(
	ctx context.Context, filter, sort bson.D, limit, maxBytes int,
) (records []messaging.Record, found int, err error) {
	err = s.read(ctx, eventsCollection, func(ctx context.Context) error {
		// One more than the limit in a batch, for FerretDB keeps a cursor open
		// when a batch is exactly full.
		cursor, err := s.events.Find(ctx, filter,
			options.Find().SetSort(sort).SetLimit(int64(limit)).SetBatchSize(int32(min(limit, maxPage)+1)))
		if err != nil {
			return err
		}
		// The driver closes an exhausted cursor itself; this is for the others,
		// and a failure to leaves it to the server's timeout.
		defer func() { _ = cursor.Close(ctx) }()
		for size := 0; size < maxBytes && cursor.Next(ctx); found++ {
			record, err := decodeRecord(cursor.Current)
			switch {
			case err == nil && repeats(records, record): // see adopt.go
			case err == nil:
				records, size = append(records, record), size+len(record.Body)
			case errors.Is(err, ErrIncomplete):
				return err
			default:
				s.metrics.malformed.Inc()
			}
		}
		return cursor.Err()
	})
	if err != nil {
		return nil, 0, err
	}
	return records, found, nil
}

// repeats reports whether a record is the last of records once more: its document and
// that of a worker, which is being adopted, stand side by side for a moment.
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
