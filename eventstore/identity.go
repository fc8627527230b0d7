package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// The identity stream holds what must not be lost with the event stream, or with an
// edit of its configuration: the epoch, and the high-water mark.
const (
	markSubject = layout.IdentityPrefix + "mark"
	// identityMaxBytes and layout.IdentityHistory bound the stream: the newest records of the
	// epoch are kept as a history for operators.
	identityMaxBytes = 1 << 20
	// maxPreviousEpochs bounds the epochs that a record names as replaced.
	maxPreviousEpochs = 64
	// maxIdentityTries bounds how often an update is repeated that another process was
	// faster with.
	maxIdentityTries = 8
)

// EpochReason says why an epoch began.
type EpochReason string

// The reasons.
const (
	// EpochCreated: the stream was created, or its epoch was first recorded.
	EpochCreated EpochReason = "created"
	// EpochRestored: the stream came with an epoch that was not known, as a restore
	// gives it.
	EpochRestored EpochReason = "restored"
	// EpochTailLost: the log ended before a sequence that it had given out.
	EpochTailLost EpochReason = "tail-lost"
	// EpochCopied: the folder of the log is a copy, or may have lost what was not
	// synced, so that it can lack what others have seen.
	EpochCopied EpochReason = "copied"
)

// Identity is the record of the log's epoch, kept beside the event stream.
type Identity struct {
	Epoch string `json:"epoch"`
	// Created is when the event stream was created that the epoch is of.
	Created time.Time `json:"created"`
	// Previous are the epochs that this one has replaced, the newest last.
	Previous []string `json:"previous,omitempty"`
	// Reason, Detail, Last and At say why, on what evidence, at which last sequence
	// and when the epoch began.
	Reason EpochReason `json:"reason"`
	Detail string      `json:"detail,omitempty"`
	Last   uint64      `json:"last"`
	At     time.Time   `json:"at"`
}

// successor returns the record of the epoch that replaces this one.
func (i Identity) successor(epoch string) Identity {
	previous := append(slices.Clone(i.Previous), i.Epoch)
	return Identity{Epoch: epoch, Created: i.Created, Previous: previous[max(0, len(previous)-maxPreviousEpochs):], At: time.Now().UTC()}
}

// Identity returns the record of the epoch; found is false where there is none, as
// in a log of an earlier version.
func (l *Log) Identity(ctx context.Context) (identity Identity, found bool, err error) {
	identity, revision, err := l.readIdentity(ctx)
	return identity, revision > 0, err
}

// readIdentity returns the record and its sequence in the identity stream, 0 when
// there is none.
func (l *Log) readIdentity(ctx context.Context) (Identity, uint64, error) {
	found, err := l.client.Leader(ctx, layout.IdentityStream, jet.Request{Last: layout.IdentitySubject})
	if errors.Is(err, jet.ErrNotFound) || jet.HasCode(err, jetstream.JSErrCodeStreamNotFound) {
		return Identity{}, 0, nil
	}
	if err != nil {
		return Identity{}, 0, fmt.Errorf("read the identity of the log: %w", err)
	}
	var identity Identity
	if err := json.Unmarshal(found.Body, &identity); err != nil || identity.Epoch == "" {
		return Identity{}, 0, fmt.Errorf("read the identity of the log: the record at sequence %d of %s is not readable: %w", found.Sequence, layout.IdentityStream, err)
	}
	return identity, found.Sequence, nil
}

// errOutrun says that another process has written the identity meanwhile.
var errOutrun = errors.New("another process has changed the identity of the log")

// writeIdentity replaces the record at a revision, 0 for the first. It returns
// [errOutrun] when the record is another one by now.
func (l *Log) writeIdentity(ctx context.Context, identity Identity, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	if err := l.ensureIdentityStream(ctx); err != nil {
		return err
	}
	payload, err := json.Marshal(identity)
	if err != nil {
		return fmt.Errorf("write the identity of the log: %w", err)
	}
	_, err = l.client.JS.PublishMsg(ctx, &nats.Msg{Subject: layout.IdentitySubject, Data: payload},
		jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithExpectStream(layout.IdentityStream), jetstream.WithRetryAttempts(0))
	if jet.HasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jet.CodeWrongLastSequence) {
		return errOutrun
	}
	if err != nil {
		return fmt.Errorf("write the identity of the log: %w", jet.Unavailable(err))
	}
	return nil
}

// ensureIdentity re-creates the stream, and records the epoch in it again.
func (l *Log) ensureIdentity(ctx context.Context) error {
	stream, err := l.client.JS.Stream(ctx, layout.EventStream)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	return l.writeIdentity(ctx, Identity{
		Epoch: l.Epoch(), Created: info.Created.UTC(), Reason: EpochCreated, Last: info.State.LastSeq, At: time.Now().UTC(),
	}, 0)
}

// ensureIdentityStream makes the stream beside the log, with as many replicas.
func (l *Log) ensureIdentityStream(ctx context.Context) error {
	replicas := l.Settings().Replicas
	_, err := streams.Ensure(ctx, l.client.JS, layout.IdentityStream, func(stream *jetstream.StreamConfig, created time.Time) {
		stream.Name = layout.IdentityStream
		stream.Description = "The epoch and the high-water mark of the log."
		streams.Beside[layout.IdentityStream].Apply(stream)
		stream.MaxBytes = identityMaxBytes
		if created.IsZero() {
			stream.Replicas = max(replicas, 1)
		}
	})
	return err
}

// identify returns the epoch of the stream that info describes. As a rule the
// metadata of the stream names the epoch that is known, and nobody is asked. When it
// does not, the record beside the log decides:
//
//	metadata names             the stream is    the epoch is
//	the recorded epoch                          that
//	none, or a replaced epoch  the recorded one the recorded epoch; another tool's edit is undone
//	none, or a replaced epoch  another          a new one
//	an unknown epoch                            that: the stream was created or restored with it
//
// Only a log that was opened, and not attached to, writes what it has decided.
func (l *Log) identify(ctx context.Context, info *jetstream.StreamInfo) (string, error) {
	named := info.Config.Metadata[streams.EpochKey]
	if named != "" && named == l.Epoch() {
		return named, nil
	}
	for range maxIdentityTries {
		recorded, revision, err := l.readIdentity(ctx)
		if err != nil {
			return "", err
		}
		wanted, reason := l.decideEpoch(info, named, recorded, revision)
		if l.readOnly || wanted == recorded.Epoch {
			if !l.readOnly && named != wanted {
				l.restoreMetadata(ctx, info, wanted)
			}
			return wanted, nil
		}
		next := recorded.successor(wanted)
		if revision == 0 {
			next.Previous = nil
		}
		next.Created, next.Reason, next.Last = info.Created.UTC(), reason, info.State.LastSeq
		if reason == EpochRestored {
			next.Detail = restoredDetail(info.Created, recorded.Created)
		}
		err = l.writeIdentity(ctx, next, revision)
		switch {
		case errors.Is(err, errOutrun):
			continue
		case err != nil && jet.Passing(err):
			return "", err
		case err != nil:
			// An account without room for one more stream: the metadata has to do.
			l.identityLog.Do(func() {
				l.logger.Warn("the epoch of the log cannot be recorded beside it; an edit of the stream that drops its metadata would begin a new one",
					"stream", layout.IdentityStream, "error", err)
			})
		}
		if named != wanted {
			l.restoreMetadata(ctx, info, wanted)
		}
		return wanted, nil
	}
	return "", fmt.Errorf("%w: its identity kept changing", ErrUnavailable)
}

// decideEpoch applies the table of [Log.identify].
func (l *Log) decideEpoch(info *jetstream.StreamInfo, named string, recorded Identity, revision uint64) (epoch string, reason EpochReason) {
	switch {
	case revision == 0 && named != "":
		return named, EpochCreated
	case revision == 0:
		if known := l.Epoch(); known != "" && l.created.Load() == info.Created.UnixNano() {
			return known, EpochCreated // Both were removed while this process ran.
		}
		return derivedEpoch(info.Config.Name, info.Created), EpochCreated
	case named == recorded.Epoch:
		return named, ""
	case named != "" && !slices.Contains(recorded.Previous, named):
		return named, EpochRestored
	case recorded.Created.Equal(info.Created):
		return recorded.Epoch, ""
	default:
		return streams.NewEpoch(), EpochRestored
	}
}

// restoredDetail says how the stream differs from the one whose epoch is recorded.
func restoredDetail(created, recorded time.Time) string {
	if created.Equal(recorded) {
		return "the metadata of the event stream names an epoch that is not recorded beside it"
	}
	return fmt.Sprintf("the event stream was created at %s, and the one of the recorded epoch at %s",
		created.UTC().Format(time.RFC3339Nano), recorded.UTC().Format(time.RFC3339Nano))
}

// restoreMetadata writes the epoch into the metadata of the stream, where the tools
// of backups look for it. A failure is not one of the caller: the record beside the
// log has the epoch.
func (l *Log) restoreMetadata(ctx context.Context, info *jetstream.StreamInfo, epoch string) {
	config := info.Config
	config.Metadata = map[string]string{streams.EpochKey: epoch}
	for key, value := range info.Config.Metadata {
		if key != streams.EpochKey && !strings.HasPrefix(key, streams.ServerMetadata) {
			config.Metadata[key] = value
		}
	}
	if _, err := l.client.JS.UpdateStream(ctx, config); err != nil {
		l.identityLog.Do(func() {
			l.logger.Warn("the epoch could not be written into the metadata of the stream", "stream", layout.EventStream, "error", err)
		})
		return
	}
	l.logger.Info("the epoch was written into the metadata of the stream", "stream", layout.EventStream, "epoch", epoch)
}
