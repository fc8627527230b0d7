package projections

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/internal/wait"
)

// indexes of novel_job_events. The first two serve other programs, and
// [Store.ReadLegacy]'s order within a job. The third serves every read by
// sequence as one range in one direction, with the epoch looked up in the index,
// and the search for documents without a sequence, which it holds as null: it
// must not be sparse. The fourth serves the search for new documents without a
// sequence. novel_job_heads is read by _id.
var indexes = []struct {
	name string
	keys bson.D
}{
	{"idx_novel_job_events_jobId_emittedAt", bson.D{{Key: fieldJobID, Value: 1}, {Key: fieldEmittedAt, Value: -1}}},
	{"idx_novel_job_events_kind_emittedAt", bson.D{
		{Key: fieldJobID, Value: 1}, {Key: fieldKind, Value: 1}, {Key: fieldEmittedAt, Value: -1},
	}},
	{"idx_novel_job_events_jobId_sequence", bson.D{
		{Key: fieldJobID, Value: 1}, {Key: fieldSequence, Value: 1}, {Key: fieldEpoch, Value: 1},
	}},
	{"idx_novel_job_events_sequence_id", bson.D{{Key: fieldSequence, Value: 1}, {Key: fieldID, Value: 1}}},
}

// indexConflictCodes are MongoDB's codes for an index that exists under another name or with
// other options. An operator has decided so, and a retry does not help.
var indexConflictCodes = []int{85, 86}

// ensureIndexes creates the indexes, and retries until ctx ends. Events are written
// meanwhile.
func (s *Store) ensureIndexes(ctx context.Context) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 250 * time.Millisecond
	pauses.MaxInterval = 15 * time.Second
	missing := outage.NewBook(s.logger, slog.LevelWarn, "MongoDB does not make an index; repeating until it does", "")
	for next := 0; next < len(indexes); {
		err := s.ensureIndex(ctx, next)
		if err == nil {
			next++
			continue
		}
		if ctx.Err() != nil {
			return
		}
		missing.Failed(err, "index", indexes[next].name)
		if wait.For(ctx, pauses.NextBackOff()) != nil {
			return
		}
	}
	s.logger.InfoContext(ctx, "MongoDB has the indexes", slog.String("collection", eventsCollection))
}

// indexAttempts is how often the creation of a shadow's index is tried.
const indexAttempts = 5

// insistOnIndex makes one index, and fails only after several attempts. FerretDB may say
// that an index of a collection that was just dropped still exists, while its connection
// to SQLite has a list from before; the failure makes it read the list again.
func (s *Store) insistOnIndex(ctx context.Context, i int) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := s.ensureIndex(ctx, i)
		if isOutage(err) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxTries(indexAttempts), backoff.WithMaxElapsedTime(0)) // one may take any time
	return err
}

// ensureIndex creates one index. They are created one by one, because FerretDB closes the
// connection on a command with several indexes that exist.
func (s *Store) ensureIndex(ctx context.Context, i int) error {
	index := mongo.IndexModel{Keys: indexes[i].keys, Options: options.Index().SetName(indexes[i].name)}
	// Without a time limit: on a large collection it may take hours.
	_, err := s.events.Indexes().CreateOne(ctx, index)
	var server mongo.ServerError
	if errors.As(err, &server) {
		for _, code := range indexConflictCodes {
			if server.HasErrorCode(code) {
				s.logger.WarnContext(ctx, "An index exists in another form and is left as it is",
					slog.String("index", indexes[i].name), slog.Any("error", err))
				return nil
			}
		}
	}
	return err
}
