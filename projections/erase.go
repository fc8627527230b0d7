package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// JobDocuments counts what MongoDB has of one job.
type JobDocuments struct {
	// Events and Heads are in the read models, in shadows of them that a rebuild
	// fills, and in collections that swaps have put aside.
	Events uint64
	Heads  uint64
	// Aggregates are in novel_jobs, which belongs to the workers and is never written here.
	Aggregates uint64
	// Rebuilding says that there is a shadow: what a rebuild holds in memory may
	// still be written into it.
	Rebuilding bool
}

// CountJob counts the documents that [Store.EraseJob] would remove.
func (s *Store) CountJob(ctx context.Context, jobID string, through messaging.Position) (found JobDocuments, err error) {
	names, err := s.models(ctx)
	if err != nil {
		return found, err
	}
	for _, name := range names {
		count, err := s.countOf(ctx, name, upTo(jobID, through))
		if err != nil {
			return found, err
		}
		found.add(name, count)
	}
	found.Aggregates, err = s.countOf(ctx, jobsCollection, bson.D{{Key: fieldJobID, Value: jobID}})
	return found, err
}

// EraseJob removes the documents of a job from the read models up to a position: those
// of that epoch up to its sequence, and all of other epochs and of older writers. The
// caller must ensure that no projection holds records of the job which it has yet to write.
// told, if not nil, is called with the number of documents removed so far. A repeat is
// harmless, and continues where an earlier call was interrupted. EraseJob fails with
// [ErrUnavailable].
func (s *Store) EraseJob(ctx context.Context, jobID string, through messaging.Position, told func(removed uint64)) (found JobDocuments, err error) {
	// First, as restoreHead requires.
	if err := s.remove(ctx, omissionsCollection, upTo(jobID, through)); err != nil {
		return found, err
	}
	names, err := s.models(ctx)
	if err != nil {
		return found, err
	}
	for {
		for _, name := range names {
			before := found.Events + found.Heads
			count, err := s.removeOf(ctx, name, jobID, through, func(count uint64) {
				if told != nil {
					told(before + count)
				}
			})
			found.add(name, count)
			if err != nil {
				return found, err
			}
		}
		// A swap may have replaced a collection that was finished already by a shadow. Once
		// the names are the same as before, every collection is finished.
		before := names
		if names, err = s.models(ctx); err != nil {
			return found, err
		}
		if slices.Equal(before, names) {
			break
		}
	}
	found.Aggregates, err = s.countOf(ctx, jobsCollection, bson.D{{Key: fieldJobID, Value: jobID}})
	return found, err
}

// add counts documents of a collection.
func (d *JobDocuments) add(collection string, count uint64) {
	model, part := partOf(collection)
	d.Rebuilding = d.Rebuilding || part == shadowSuffix
	if model == headsCollection {
		d.Heads += count
		return
	}
	d.Events += count
}

// upTo matches the documents of a job that an erasure up to a position removes.
func upTo(jobID string, through messaging.Position) bson.D {
	return bson.D{{Key: fieldJobID, Value: jobID}, {Key: "$or", Value: bson.A{
		bson.D{{Key: fieldEpoch, Value: bson.D{{Key: "$ne", Value: through.Epoch}}}},
		bson.D{{Key: fieldSequence, Value: bson.D{{Key: "$lte", Value: stored(through.Sequence)}}}},
		bson.D{{Key: fieldSequence, Value: nil}},
	}}}
}

// models returns the names of the read models' collections, of their shadows, and of the
// collections that swaps have put aside. The live ones come first, because a rebuild copies
// from them.
func (s *Store) models(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	names, err := s.events.Database().ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return nil, fmt.Errorf("look for documents of a job: %w: %w", ErrUnavailable, err)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		model, _ := partOf(name)
		return model == ""
	})
	slices.Sort(names)
	return names, nil
}

const (
	// A removal goes over a span of sequences, and so removes at most as many documents of
	// each epoch; the index by job and sequence serves it. The span begins at eraseSpan,
	// and follows the pace of the server between the two others.
	eraseSpan    = 1_000
	minEraseSpan = 50
	maxEraseSpan = 50_000
	// eraseIDs is how many documents one removal by _id names.
	eraseIDs = 2_000
	// The span grows after a removal that took less than quickErase, and shrinks after one
	// that took more than slowErase.
	quickErase = 2 * time.Second
	slowErase  = 10 * time.Second
	// eraseTimeout bounds one command. It is long because servers without the index, or
	// those for development, read a whole collection for it.
	eraseTimeout = 5 * time.Minute
)

// countOf counts the documents of a collection that a filter matches.
func (s *Store) countOf(ctx context.Context, name string, filter bson.D) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	count, err := s.events.Database().Collection(name, sure()).CountDocuments(ctx, filter)
	if err != nil {
		return 0, fmt.Errorf("count the job's documents in %s: %w: %w", name, ErrUnavailable, err)
	}
	return uint64(count), nil
}

// removeOf removes the job's documents from a collection: first those of all epochs with a
// sequence up to the position, by ranges, then the others.
func (s *Store) removeOf(ctx context.Context, name, jobID string, through messaging.Position, told func(removed uint64)) (removed uint64, err error) {
	collection := s.events.Database().Collection(name, sure())
	fail := func(err error) error {
		return fmt.Errorf("remove the job's documents from %s: %w: %w", name, ErrUnavailable, err)
	}
	last, span := stored(through.Sequence), int64(eraseSpan)
	for after := int64(0); after < last; {
		end, began := min(last, after+span), time.Now()
		count, err := s.removeRange(ctx, collection, jobID, after, end)
		if span > minEraseSpan && mongo.IsTimeout(err) && ctx.Err() == nil {
			span = max(span/8, minEraseSpan) // and again from the same place
			continue
		}
		if err != nil {
			return removed, fail(err)
		}
		after, span = end, nextSpan(span, time.Since(began))
		if count == 0 {
			next, err := s.firstAfter(ctx, collection, jobID, after, last)
			if err != nil {
				return removed, fail(err)
			}
			after = next - 1
			continue
		}
		removed += count
		told(removed)
	}
	for {
		count, more, err := s.removeSome(ctx, collection, upTo(jobID, through))
		if err != nil {
			return removed, fail(err)
		}
		if !more {
			return removed, nil
		}
		removed += count
		told(removed)
	}
}

// nextSpan returns the span of the removal after one that took a time.
func nextSpan(span int64, took time.Duration) int64 {
	switch {
	case took < quickErase:
		return min(2*span, maxEraseSpan)
	case took > slowErase:
		return max(span/2, minEraseSpan)
	}
	return span
}

// removeRange removes the job's documents with a sequence above after, up to end.
func (s *Store) removeRange(ctx context.Context, collection *mongo.Collection, jobID string, after, end int64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	result, err := collection.DeleteMany(ctx, between(jobID, after, end))
	if err != nil {
		return 0, err
	}
	return uint64(result.DeletedCount), nil
}

// firstAfter returns the lowest sequence of the job's documents above after, up to last;
// the one after last where there is none.
func (s *Store) firstAfter(ctx context.Context, collection *mongo.Collection, jobID string, after, last int64) (int64, error) {
	if after >= last {
		return last + 1, nil
	}
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	var found struct {
		Sequence float64 `bson:"sequence"` // whatever type of number it has
	}
	err := collection.FindOne(ctx, between(jobID, after, last),
		options.FindOne().SetSort(bson.D{{Key: fieldSequence, Value: 1}}).SetProjection(bson.D{{Key: fieldSequence, Value: 1}})).Decode(&found)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return last + 1, nil
	}
	return max(int64(found.Sequence), after+1), err
}

func between(jobID string, after, end int64) bson.D {
	return bson.D{{Key: fieldJobID, Value: jobID}, {Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lte", Value: end}}}}
}

// removeSome removes some of the documents that a filter matches. more reports whether it
// found any; another erasure of the job may have removed them at the same time.
func (s *Store) removeSome(ctx context.Context, collection *mongo.Collection, filter bson.D) (removed uint64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	cursor, err := collection.Find(ctx, filter, options.Find().SetLimit(eraseIDs).SetProjection(bson.D{{Key: fieldID, Value: 1}}))
	if err != nil {
		return 0, false, err
	}
	var found []struct {
		ID any `bson:"_id"`
	}
	if err := cursor.All(ctx, &found); err != nil || len(found) == 0 {
		return 0, false, err
	}
	ids := make(bson.A, 0, len(found))
	for _, document := range found {
		ids = append(ids, document.ID)
	}
	result, err := collection.DeleteMany(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return 0, false, err
	}
	return uint64(result.DeletedCount), true, nil
}

// partOf returns the read model that a collection belongs to, and which part of it the
// collection is: empty for the live one. The model is empty for other collections.
func partOf(name string) (model, part string) {
	for _, model := range []string{eventsCollection, headsCollection} {
		rest, found := strings.CutPrefix(name, model)
		switch {
		case !found:
		case rest == "" || rest == shadowSuffix:
			return model, rest
		case strings.HasPrefix(rest, oldInfix):
			return model, oldInfix
		}
	}
	return "", ""
}
