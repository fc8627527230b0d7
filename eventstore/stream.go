package eventstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// ensureEvents makes the event stream, or adopts an existing one: what the service
// cannot work without is restored, and the limits stay as they are. They belong to
// all who share the log, and are changed by maintain.Log.
//
// Gateways that start together agree on one epoch: each offers its own with the
// stream it asks for, the server accepts the first and refuses the others, and
// those read what was accepted.
func ensureEvents(ctx context.Context, js jetstream.JetStream, cfg Config, batches bool) (*jetstream.StreamInfo, error) {
	return streams.Ensure(ctx, js, layout.EventStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = layout.EventStream
		stream.Description = "Every accepted event, by job."
		streams.NeedOfEvents(cfg.MaxEventBytes).Apply(stream)
		// A capability, and not a limit that the users of the log chose.
		stream.AllowAtomicPublish = stream.AllowAtomicPublish || batches
		if created.IsZero() {
			stream.MaxBytes = cfg.MaxBytes
			stream.MaxAge = cfg.MaxAge
			stream.Replicas = cfg.Replicas
			stream.Duplicates = cfg.DuplicateWindow
			stream.Metadata[streams.EpochKey] = streams.NewEpoch()
		}
	})
}

// ensureDeadLetters makes the dead-letter stream, with as many replicas as the log
// has, or adopts it.
func ensureDeadLetters(ctx context.Context, js jetstream.JetStream, cfg Config, replicas int, batches bool) error {
	_, err := streams.Ensure(ctx, js, layout.DeadLetterStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = layout.DeadLetterStream
		stream.Description = "Events that were refused, with their raw bytes."
		streams.Beside[layout.DeadLetterStream].Apply(stream)
		stream.AllowAtomicPublish = stream.AllowAtomicPublish || batches
		if created.IsZero() {
			stream.MaxBytes = cfg.DeadLetterMaxBytes
			stream.Replicas = replicas
			stream.Duplicates = cfg.DuplicateWindow
		}
	})
	return err
}

// derivedEpoch is the epoch of a stream that somebody made without one. All
// gateways derive the same, so it does not matter which of them writes it down.
func derivedEpoch(name string, created time.Time) string {
	sum := sha256.Sum256([]byte(name + created.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:8])
}
