package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The bucket as the key-value stores of NATS lay one out (architecture decision
// record 8), so that their tools can look in: a stream named KV_<bucket> with a
// subject for each key. A removed key has a message with an operation in its
// place.
const (
	sessionBucket = "NOVEL_SESSIONS"
	sessionStream = "KV_" + sessionBucket
	sessionPrefix = "$KV." + sessionBucket + "."

	headerOperation = "KV-Operation"
	operationDelete = "DEL"
)

// longestDuplicateWindow bounds how long the server remembers message ids, of
// which the bucket has none.
const longestDuplicateWindow = 2 * time.Minute

// ensureSessions makes the bucket or brings its limits up to date. The stream is
// described here, and not by a library's call for buckets, which cannot ask for a
// way to persist.
//
// With one replica that is the asynchronous one. An embedded server that syncs
// each event would sync each state too, and hold up the events meanwhile: when
// 10,000 clients reconnect, their states take 2 to 15 s of nothing but syncs,
// against 0.2 s (BenchmarkSessions). What that gives up, [Sessions] says. The way
// is chosen when the bucket is made; servers before 2.12 do not know it and pay
// for the syncs, and with more replicas there is no choice.
func ensureSessions(ctx context.Context, js jetstream.JetStream, cfg SessionsConfig, logger *slog.Logger) error {
	if cfg.Replicas > 1 {
		if err := removeAsyncBucket(ctx, js, logger); err != nil {
			return err
		}
	}
	_, err := ensureStream(ctx, js, sessionStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = sessionStream
		stream.Description = "The newest state of each client session."
		stream.Subjects = []string{sessionPrefix + ">"}
		stream.Storage = jetstream.FileStorage
		stream.Retention = jetstream.LimitsPolicy
		stream.MaxMsgsPerSubject = 1
		stream.Discard = jetstream.DiscardOld
		stream.MaxBytes = cfg.MaxBytes
		stream.MaxAge = cfg.TTL
		stream.Replicas = max(stream.Replicas, cfg.Replicas) // Never fewer than somebody has asked for.
		stream.Duplicates = min(cfg.TTL, longestDuplicateWindow)
		stream.AllowRollup = true // As the tools' purge of a key needs it.
		stream.DenyDelete = true
		if created.IsZero() && cfg.Replicas == 1 {
			stream.PersistMode = jetstream.AsyncPersistMode
		}
	})
	return err
}

// removeAsyncBucket removes a bucket that was made for one replica: the server
// neither replicates such a stream nor changes how it persists.
func removeAsyncBucket(ctx context.Context, js jetstream.JetStream, logger *slog.Logger) error {
	stream, err := js.Stream(ctx, sessionStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", sessionStream, err)
	}
	if stream.CachedInfo().Config.PersistMode != jetstream.AsyncPersistMode {
		return nil
	}
	if err := js.DeleteStream(ctx, sessionStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("remove stream %s: %w", sessionStream, err)
	}
	logger.Warn("sessions were made for one replica and are made anew: those of before cannot be recovered", "stream", sessionStream)
	return nil
}
