package sessions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// The bucket as the key-value stores of NATS lay one out (architecture decision
// record 8), so that their tools can look in: a stream named KV_<bucket> with a
// subject for each key. A removed key has a message with an operation in its
// place.
const (
	headerOperation = "KV-Operation"
	operationDelete = "DEL"
)

// Stream is the stream of the bucket with the states of sessions.
const Stream = layout.SessionStream

// longestDuplicateWindow bounds how long the server remembers message ids, of
// which the bucket has none.
const longestDuplicateWindow = 2 * time.Minute

// ensureBucket makes the bucket, and returns its configuration. One that is there keeps
// its size and the age of its states: they are all gateways', and maintain.Log changes them.
// The stream is described here, and not by a library's call for buckets, which cannot ask for a
// way to persist.
//
// With one replica that is the asynchronous one. An embedded server that syncs
// each event would sync each state too, and hold up the events meanwhile: when
// 10,000 clients reconnect, their states take 2 to 15 s of nothing but syncs,
// against 0.2 s (BenchmarkSessions). What that gives up, [Store] says. The way
// is chosen when the bucket is made; servers before 2.12 do not know it and pay
// for the syncs, and with more replicas there is no choice.
func ensureBucket(ctx context.Context, js jetstream.JetStream, cfg Config, logger *slog.Logger) (*jetstream.StreamConfig, error) {
	if cfg.Replicas > 1 {
		removed, err := removeAsyncBucket(ctx, js, logger)
		if err != nil {
			return nil, err
		}
		if removed != nil {
			cfg.MaxBytes, cfg.TTL = removed.MaxBytes, removed.MaxAge
		}
	}
	info, err := streams.Ensure(ctx, js, layout.SessionStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = layout.SessionStream
		stream.Description = "The newest state of each client session."
		streams.Beside[layout.SessionStream].Apply(stream)
		if created.IsZero() {
			stream.MaxBytes, stream.MaxAge = cfg.MaxBytes, cfg.TTL
		}
		stream.Replicas = max(stream.Replicas, cfg.Replicas) // Never fewer than somebody has asked for.
		stream.Duplicates = DuplicateWindow(stream.MaxAge)
		stream.AllowRollup = true // As the tools' purge of a key needs it.
		stream.DenyDelete = true
		if created.IsZero() && cfg.Replicas == 1 {
			stream.PersistMode = jetstream.AsyncPersistMode
		}
	})
	if err != nil {
		return nil, err
	}
	return &info.Config, nil
}

// DuplicateWindow returns for how long the server remembers ids of a bucket whose states
// have a time to live; 0 is none.
func DuplicateWindow(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return longestDuplicateWindow
	}
	return min(ttl, longestDuplicateWindow)
}

// removeAsyncBucket removes a bucket that was made for one replica, and returns its
// configuration; nil when there was none: the server neither replicates such a stream nor
// changes how it persists.
func removeAsyncBucket(ctx context.Context, js jetstream.JetStream, logger *slog.Logger) (*jetstream.StreamConfig, error) {
	stream, err := js.Stream(ctx, layout.SessionStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", layout.SessionStream, err)
	}
	bucket := stream.CachedInfo().Config
	if bucket.PersistMode != jetstream.AsyncPersistMode {
		return nil, nil
	}
	if err := js.DeleteStream(ctx, layout.SessionStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("remove stream %s: %w", layout.SessionStream, err)
	}
	logger.Warn("sessions were made for one replica and are re-created: the earlier ones cannot be recovered", "stream", layout.SessionStream)
	return &bucket, nil
}
