package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// restoreRequest is the request of STREAM.RESTORE.
type restoreRequest struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

// NewEpoch returns an epoch for a log that is yet to be restored.
func NewEpoch() string { return newEpoch() }

// Restore makes the stream of a snapshot anew from its data. The event stream gets
// the epoch, which has to be a new one ([NewEpoch]), so that nobody takes a sequence
// that was given out after the backup for one that is given out now; the backup's
// stays in the metadata for the record. It returns the epoch, empty for the other
// streams. Consumers that the snapshot brings along are removed: what they had
// acknowledged was acknowledged in another epoch.
//
// The server (2.15) does not take up the message ids of a snapshot: what was
// appended before the backup, and is published again after the restore, is stored
// again, dedup window or not.
//
// It returns [ErrStreamExists] when the stream is there. An interrupted restore
// leaves no stream, and can be repeated.
func (a *Archive) Restore(
	ctx context.Context, snapshot Snapshot, epoch string, data io.ReadSeeker, progress func(read int64),
) (given string, err error) {
	name, _, _, err := snapshot.Stream()
	if err != nil {
		return "", err
	}
	if !isLogStream(name) {
		return "", fmt.Errorf("%w: it is of stream %q, which is none of the log's", ErrBadSnapshot, name)
	}
	config := snapshot.Config
	if name == eventStream {
		if config, err = withEpoch(config, epoch); err != nil {
			return "", err
		}
		given = epoch
	}
	if name == eventStream {
		defer a.hold(ctx)()
	}
	if err := a.restoreAfterRemoval(ctx, name, restoreRequest{Config: config, State: snapshot.State}, data, progress); err != nil {
		return "", fmt.Errorf("restore stream %s: %w", name, err)
	}
	if err := a.forgetConsumers(ctx, name); err != nil {
		return "", fmt.Errorf("restore stream %s: %w", name, err)
	}
	return given, nil
}

// withEpoch replaces the epoch in a stream's configuration and leaves the rest
// of it as it is.
func withEpoch(config json.RawMessage, epoch string) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		return nil, fmt.Errorf("%w: the configuration: %w", ErrBadSnapshot, err)
	}
	metadata := map[string]string{}
	if raw := members["metadata"]; raw != nil {
		if err := json.Unmarshal(raw, &metadata); err != nil {
			return nil, fmt.Errorf("%w: the metadata: %w", ErrBadSnapshot, err)
		}
	}
	for key := range metadata {
		if strings.HasPrefix(key, serverMetadataPrefix) {
			delete(metadata, key)
		}
	}
	metadata[restoredFromKey] = metadata[epochKey]
	metadata[epochKey] = epoch
	var err error
	if members["metadata"], err = json.Marshal(metadata); err != nil {
		return nil, fmt.Errorf("write the metadata: %w", err)
	}
	changed, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return changed, nil
}

// restoreAttempts is how often a restore is begun that meets what is left of a
// removed stream: over some six seconds in all.
const restoreAttempts = 6

// restoreAfterRemoval begins again while the server (2.15) still clears the files
// of a stream of that name away, which it does after it has answered that the
// stream is gone: the new one then has sequences that its data does not fit. What
// such an attempt leaves is removed.
func (a *Archive) restoreAfterRemoval(ctx context.Context, name string, request restoreRequest, data io.ReadSeeker, progress func(int64)) error {
	rest := newPause(200*time.Millisecond, 2*time.Second)
	for attempt := 1; ; attempt++ {
		err := a.restore(ctx, name, request, data, progress)
		if err == nil || !strings.Contains(err.Error(), "expected sequence does not match store") || attempt == restoreAttempts {
			return err
		}
		if removed := a.js.DeleteStream(ctx, name); removed != nil && !errors.Is(removed, jetstream.ErrStreamNotFound) {
			return errors.Join(err, removed)
		}
		if waited := rest.wait(ctx); waited != nil {
			return errors.Join(err, waited)
		}
		if _, sought := data.Seek(0, io.SeekStart); sought != nil {
			return errors.Join(err, sought)
		}
	}
}

func (a *Archive) restore(ctx context.Context, name string, request restoreRequest, data io.Reader, progress func(int64)) error {
	var begun struct {
		Deliver string `json:"deliver_subject"`
	}
	err := a.ask(ctx, "STREAM.RESTORE."+name, request, chunkWait, &begun)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || hasCode(err, codeExistsForRestore) {
		return ErrStreamExists
	}
	if err != nil {
		return err
	}
	chunk := make([]byte, min(chunkBytes, int(a.conn.MaxPayload())))
	for sent := int64(0); ; {
		n, err := io.ReadFull(data, chunk)
		if n > 0 {
			if err := a.send(ctx, begun.Deliver, chunk[:n], chunkWait); err != nil {
				return err
			}
			if sent += int64(n); progress != nil {
				progress(sent)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return a.send(ctx, begun.Deliver, nil, finishWait)
		}
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
	}
}

// send gives the server one chunk; the empty one is the last. An answer with
// content is the result of the whole.
func (a *Archive) send(ctx context.Context, subject string, chunk []byte, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	response, err := a.conn.RequestWithContext(ctx, subject, chunk)
	if err != nil {
		return unavailable(err)
	}
	if len(response.Data) == 0 {
		return nil
	}
	return readAnswer(response.Data, nil)
}

func (a *Archive) forgetConsumers(ctx context.Context, stream string) error {
	restored, err := a.js.Stream(ctx, stream)
	if err != nil {
		return unavailable(err)
	}
	names := restored.ConsumerNames(ctx)
	for name := range names.Name() {
		if err := a.js.DeleteConsumer(ctx, stream, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("remove consumer %q: %w", name, unavailable(err))
		}
	}
	return names.Err()
}
