package eventstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// epochKey is the key of the epoch in the event stream's metadata.
const epochKey = "novel.epoch"

// serverMetadataPrefix marks the metadata that the server itself adds to what
// it reports.
const serverMetadataPrefix = "_nats."

// ensureEvents makes the event stream, or adopts an existing one: what the service
// cannot work without is restored, and the limits stay as they are. They belong to
// all who share the log, and are changed by [Log.Change].
//
// Gateways that start together agree on one epoch: each offers its own with the
// stream it asks for, the server accepts the first and refuses the others, and
// those read what was accepted.
func ensureEvents(ctx context.Context, js jetstream.JetStream, cfg Config, batches bool) (*jetstream.StreamInfo, error) {
	return ensureStream(ctx, js, eventStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = eventStream
		stream.Description = "Every accepted event, by job."
		needOfEvents(cfg.MaxEventBytes).apply(stream)
		// A capability, and not a limit that the users of the log chose.
		stream.AllowAtomicPublish = stream.AllowAtomicPublish || batches
		if created.IsZero() {
			stream.MaxBytes = cfg.MaxBytes
			stream.MaxAge = cfg.MaxAge
			stream.Replicas = cfg.Replicas
			stream.Duplicates = cfg.DuplicateWindow
			stream.Metadata[epochKey] = newEpoch()
		}
	})
}

// ensureDeadLetters makes the dead-letter stream, with as many replicas as the log
// has, or adopts it.
func ensureDeadLetters(ctx context.Context, js jetstream.JetStream, cfg Config, replicas int) error {
	_, err := ensureStream(ctx, js, deadLetterStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = deadLetterStream
		stream.Description = "Events that were refused, with their raw bytes."
		needs[deadLetterStream].apply(stream)
		if created.IsZero() {
			stream.MaxBytes = cfg.DeadLetterMaxBytes
			stream.Replicas = replicas
			stream.Duplicates = cfg.DuplicateWindow
		}
	})
	return err
}

// ensureStream makes the stream that apply describes, or updates it. Settings of
// an existing one that apply does not touch stay as the operator left them.
// apply gets the time of creation, zero for a stream that is yet to be made.
func ensureStream(
	ctx context.Context, js jetstream.JetStream, name string, apply func(*jetstream.StreamConfig, time.Time),
) (*jetstream.StreamInfo, error) {
	for {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			if err := beingRestored(stream.CachedInfo()); err != nil {
				return nil, err
			}
			return updateStream(ctx, js, stream.CachedInfo(), apply)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("look up stream %s: %w", name, err)
		}
		if err := restoreWaits(ctx, js, name); err != nil {
			return nil, err
		}
		wanted := jetstream.StreamConfig{Metadata: map[string]string{}}
		apply(&wanted, time.Time{})
		stream, err = js.CreateStream(ctx, wanted)
		if err == nil {
			return stream.CachedInfo(), nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, fmt.Errorf("create stream %s: %w", name, err)
		}
		// Another gateway was faster: go on with what it made.
	}
}

// updateStream brings an existing stream up to date, if it is not.
func updateStream(
	ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, apply func(*jetstream.StreamConfig, time.Time),
) (*jetstream.StreamInfo, error) {
	current := info.Config
	current.Metadata = map[string]string{}
	for key, value := range info.Config.Metadata {
		if !strings.HasPrefix(key, serverMetadataPrefix) {
			current.Metadata[key] = value
		}
	}
	wanted := current
	wanted.Metadata = maps.Clone(current.Metadata)
	apply(&wanted, info.Created)
	if reflect.DeepEqual(current, wanted) || current.Sealed { // A sealed stream cannot be edited.
		return info, nil
	}
	stream, err := js.UpdateStream(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("update stream %s: %w", wanted.Name, err)
	}
	return stream.CachedInfo(), nil
}

// derivedEpoch is the epoch of a stream that somebody made without one. All
// gateways derive the same, so it does not matter which of them writes it down.
func derivedEpoch(name string, created time.Time) string {
	sum := sha256.Sum256([]byte(name + created.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:8])
}

// newEpoch returns 64 random bits: enough that two lives of one log never share
// an epoch.
func newEpoch() string {
	var bits [8]byte
	_, _ = rand.Read(bits[:]) // Never fails: crypto/rand ends the process instead.
	return hex.EncodeToString(bits[:])
}
