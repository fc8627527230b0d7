package streams

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/lease"
)

// EpochKey is the key of the epoch in the event stream's metadata.
const EpochKey = "novel.epoch"

// ServerMetadata marks the metadata that the server itself adds to what
// it reports.
const ServerMetadata = "_nats."

// RestoringKey is the key, in a stream's metadata, of the mark that it is being restored;
// its value says since when and for how many messages.
const RestoringKey = "novel.restoring"

// Ensure makes the stream that apply describes, or updates it. Settings of
// an existing one that apply does not touch stay as the operator left them.
// apply gets the time of creation, zero for a stream that is yet to be made.
func Ensure(
	ctx context.Context, js jetstream.JetStream, name string, apply func(*jetstream.StreamConfig, time.Time),
) (*jetstream.StreamInfo, error) {
	for {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			if err := BeingRestored(stream.CachedInfo()); err != nil {
				return nil, err
			}
			return Update(ctx, js, stream.CachedInfo(), apply)
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

// Update brings an existing stream up to date, if it is not. What no edit changes stays as
// it is: the server would refuse the other changes with it.
func Update(
	ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, apply func(*jetstream.StreamConfig, time.Time),
) (*jetstream.StreamInfo, error) {
	current := info.Config
	current.Metadata = map[string]string{}
	for key, value := range info.Config.Metadata {
		if !strings.HasPrefix(key, ServerMetadata) {
			current.Metadata[key] = value
		}
	}
	wanted := current
	wanted.Metadata = maps.Clone(current.Metadata)
	apply(&wanted, info.Created)
	wanted = Edited(current, wanted)
	if reflect.DeepEqual(current, wanted) {
		return info, nil
	}
	stream, err := js.UpdateStream(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("update stream %s: %w", wanted.Name, err)
	}
	return stream.CachedInfo(), nil
}

// Edited returns what an edit can make of the settings of a stream when others are wanted: what
// the server lets no edit change stays as it is.
func Edited(current, wanted jetstream.StreamConfig) jetstream.StreamConfig {
	if current.Sealed {
		return current
	}
	wanted.Storage = current.Storage
	if current.Retention == jetstream.WorkQueuePolicy {
		wanted.Retention = current.Retention
	}
	if current.Mirror != nil {
		wanted.Subjects = current.Subjects
	}
	return wanted
}

// BeingRestored returns [jet.ErrRestoring] for a stream with the mark.
func BeingRestored(info *jetstream.StreamInfo) error {
	if mark, marked := info.Config.Metadata[RestoringKey]; marked {
		return fmt.Errorf("%w (stream %s: %s)", jet.ErrRestoring, info.Config.Name, mark)
	}
	return nil
}

// restoreWaits returns [jet.ErrRestoring] when a stream of the log is missing because a
// restore has removed it, and has not put its own in its place yet: another one must
// not be made meanwhile.
func restoreWaits(ctx context.Context, js jetstream.JetStream, stream string) error {
	if !slices.Contains(layout.Archived, stream) {
		return nil
	}
	holder, found, err := lease.WholeLogHolder(ctx, js)
	if err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%w (%s)", jet.ErrRestoring, holder)
	}
	return nil
}

// NewEpoch returns 64 random bits: enough that two lives of one log never share
// an epoch.
func NewEpoch() string {
	var bits [8]byte
	_, _ = rand.Read(bits[:]) // Never fails: crypto/rand ends the process instead.
	return hex.EncodeToString(bits[:])
}
