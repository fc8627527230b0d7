package projections

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

// JobDocuments counts what MongoDB has of one job.
type JobDocuments struct {
	// Events and Heads are in the read models, in shadows of them that a rebuild
	// fills, and in collections that swaps have put aside.
	Events uint64
	Heads  uint64
	// Aggregates are in novel_jobs, which is the workers' and never written here.
	Aggregates uint64
	// Rebuilding says that there is a shadow: what a rebuild holds in memory may
	// still be written into it.
	Rebuilding bool
}

// CountJob counts the documents that [Store.EraseJob] would remove.
func (s *Store) CountJob(ctx context.Context, jobID string, through messaging.Position) (JobDocuments, error) {
	return s.eachOfJob(ctx, jobID, through, false)
}

// EraseJob removes what the read models have of a job up to a position: documents
// of that epoch up to its sequence, and all of other epochs and of older writers.
// What the projections have not written yet is not theirs to know: the caller has
// seen to it that nobody holds such records any more. A repeat is harmless. It
// fails with [ErrUnavailable].
func (s *Store) EraseJob(ctx context.Context, jobID string, through messaging.Position) (JobDocuments, error) {
	return s.eachOfJob(ctx, jobID, through, true)
}

func (s *Store) eachOfJob(ctx context.Context, jobID string, through messaging.Position, remove bool) (found JobDocuments, err error) {
	filter := bson.D{{Key: fieldJobID, Value: jobID}, {Key: "$or", Value: bson.A{
		bson.D{{Key: fieldEpoch, Value: bson.D{{Key: "$ne", Value: through.Epoch}}}},
		bson.D{{Key: fieldSequence, Value: bson.D{{Key: "$lte", Value: stored(through.Sequence)}}}},
		bson.D{{Key: fieldSequence, Value: nil}},
	}}}
	names, err := s.models(ctx)
	if err != nil {
		return found, err
	}
	for {
		for _, name := range names {
			model, part := partOf(name)
			into := &found.Events
			if model == headsCollection {
				into = &found.Heads
			}
			found.Rebuilding = found.Rebuilding || part == shadowSuffix
			count, err := s.ofJob(ctx, name, filter, remove)
			if err != nil {
				return found, err
			}
			*into += count
		}
		if !remove {
			break
		}
		// A swap may have put a shadow into the place of a collection that was dealt with
		// already. Once the names are the same as before, every collection was.
		before := names
		if names, err = s.models(ctx); err != nil {
			return found, err
		}
		if slices.Equal(before, names) {
			break
		}
	}
	found.Aggregates, err = s.ofJob(ctx, jobsCollection, filter[:1], false)
	return found, err
}

// models returns the names of the read models' collections, with those of shadows and
// of what swaps have put aside; the live ones come first, for a rebuild copies from them.
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

// ofJob counts the documents that the filter matches, and removes them if it is
// told to.
func (s *Store) ofJob(ctx context.Context, name string, filter bson.D, remove bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	collection := s.events.Database().Collection(name, sure())
	if !remove {
		count, err := collection.CountDocuments(ctx, filter)
		if err != nil {
			return 0, fmt.Errorf("count the job's documents in %s: %w: %w", name, ErrUnavailable, err)
		}
		return uint64(count), nil
	}
	result, err := collection.DeleteMany(ctx, filter)
	if err != nil {
		return 0, fmt.Errorf("remove the job's documents from %s: %w: %w", name, ErrUnavailable, err)
	}
	return uint64(result.DeletedCount), nil
}

// partOf says which read model a collection belongs to, and as what: empty for the
// model itself. Of others the model is empty.
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
