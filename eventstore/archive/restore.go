package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// restoreRequest is the request of STREAM.RESTORE.
type restoreRequest struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

// NewEpoch returns an epoch for a log that is yet to be restored.
func NewEpoch() string { return streams.NewEpoch() }

// RestoreMarked makes the stream of a snapshot from its data, with the mark of one that
// is being restored: it takes no records, and every part of the service takes it for no
// log, until [Archive.Complete]. Its messages are counted. It takes the place of a stream
// with that mark, which an interruption has left. Consumers that the snapshot brings
// along are removed: what they had acknowledged was acknowledged in another epoch.
//
// The server (2.15) does not take up the message ids of a snapshot: what was
// appended before the backup, and is published again after the restore, is stored
// again, dedup window or not.
//
// It returns [ErrStreamExists] when a stream without the mark is there that has ever held
// a message. One that has not is replaced: gateways re-create a stream that they miss.
func (a *Archive) RestoreMarked(ctx context.Context, snapshot Snapshot, data io.ReadSeeker, progress func(read int64)) error {
	name, err := logStreamOf(snapshot)
	if err == nil {
		err = a.restoreAs(ctx, snapshot, name, data, progress)
	}
	if err != nil {
		return fmt.Errorf("restore stream %s: %w", name, err)
	}
	return nil
}

// Beside returns the name of the stream that [Archive.RestoreBeside] makes.
func Beside(stream string) string { return stream + besideSuffix }

// CanBeside reports whether a snapshot can be restored under another name. Those of
// servers before 2.15 cannot.
func CanBeside(dataFile string) bool { return strings.HasSuffix(dataFile, ".arc.s2") }

// RestoreBeside restores a snapshot beside the stream whose place it is to take, which
// shows that the server takes it: its limits, replicas and data. It returns [ErrNoRoom]
// when there is no room for both.
func (a *Archive) RestoreBeside(ctx context.Context, snapshot Snapshot, data io.ReadSeeker, progress func(read int64)) error {
	name, err := logStreamOf(snapshot)
	if err == nil {
		err = a.restoreAs(ctx, snapshot, Beside(name), data, progress)
	}
	if err != nil {
		return fmt.Errorf("restore stream %s beside the one that is there: %w", name, noRoom(err))
	}
	return nil
}

// noRoom marks the errors of a server that has no storage left.
func noRoom(err error) error {
	if jet.HasCode(err, jet.CodeAccountExceeded, jet.CodeInsufficientResources, jet.CodeStorageExceeded) || strings.Contains(err.Error(), "insufficient storage resources") {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// Probe makes an empty stream with the limits of a snapshot, and removes it: it returns
// the error that the server has for the name, replicas or limits. Room that the stream
// has whose place it is to take counts as free. A stream that an interrupted restore left
// beside it is removed.
func (a *Archive) Probe(ctx context.Context, snapshot Snapshot) error {
	name, err := logStreamOf(snapshot)
	if err != nil {
		return err
	}
	if err := a.removeMarked(ctx, Beside(name)); err != nil {
		return err
	}
	var wanted, there int64
	var limits struct {
		MaxBytes int64 `json:"max_bytes"`
	}
	if err := json.Unmarshal(snapshot.Config, &limits); err != nil {
		return fmt.Errorf("%w: the configuration: %w", ErrBadSnapshot, err)
	}
	wanted = limits.MaxBytes
	if stream, err := a.client.JS.Stream(ctx, name); err == nil {
		there = max(stream.CachedInfo().Config.MaxBytes, 0)
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("look up stream %s: %w", name, jet.Unavailable(err))
	}
	config, err := marked(snapshot.Config, Beside(name), "a probe of the limits", false)
	if err != nil {
		return err
	}
	config, err = withConfig(config, func(members map[string]json.RawMessage, _ map[string]string) error {
		if wanted <= 0 {
			return nil
		}
		return setMembers(members, map[string]any{"max_bytes": max(wanted-there, 1<<20)})
	})
	if err != nil {
		return err
	}
	if err := a.ask(ctx, "STREAM.CREATE."+Beside(name), config, nil); err != nil {
		return fmt.Errorf("the server refuses stream %s as the backup has it: %w", name, err)
	}
	return a.Remove(ctx, Beside(name))
}

// restoreAs restores a snapshot, with the mark, as a stream of the name.
func (a *Archive) restoreAs(ctx context.Context, snapshot Snapshot, name string, data io.ReadSeeker, progress func(read int64)) (err error) {
	_, _, saved, err := snapshot.Stream()
	if err != nil {
		return err
	}
	found, err := a.client.JS.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return jet.Unavailable(err)
	case !vacant(found.CachedInfo()):
		return ErrStreamExists
	default:
		if err := a.Remove(ctx, name); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil && !errors.Is(err, ErrStreamExists) {
			err = errors.Join(err, a.removeMarked(ctx, name))
		}
	}()
	mark := fmt.Sprintf("since %s, %d messages", time.Now().UTC().Format(time.RFC3339), saved.Messages)
	config, err := marked(snapshot.Config, name, mark, false)
	if err != nil {
		return err
	}
	if name == layout.EventStream {
		defer a.hold(ctx, holdRenewal)()
	}
	if err := a.restoreAfterRemoval(ctx, name, restoreRequest{Config: config, State: snapshot.State}, data, progress); err != nil {
		return err
	}
	if err := a.forgetConsumers(ctx, name); err != nil {
		return err
	}
	state, err := a.state(ctx, name)
	if err != nil {
		return err
	}
	if state.Msgs != saved.Messages || saved.Messages > 0 && state.LastSeq != saved.Last {
		return fmt.Errorf("%w: %d messages up to %d were restored, and the backup has %d up to %d", ErrDamaged, state.Msgs, state.LastSeq, saved.Messages, saved.Last)
	}
	// All of it is there, and can be read to compare the checksum.
	config, err = marked(snapshot.Config, name, mark, true)
	if err == nil {
		err = a.ask(ctx, "STREAM.UPDATE."+name, config, nil)
	}
	return err
}

// removeMarked removes what a restore that has failed leaves, also for a caller that was
// interrupted.
func (a *Archive) removeMarked(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkWait)
	defer cancel()
	_, restoring, err := a.Restoring(ctx, name)
	if err != nil || !restoring {
		return err
	}
	return a.Remove(ctx, name)
}

// Complete takes the mark away from a stream that [Archive.RestoreMarked] has made. The
// event stream gets the epoch, which has to be a new one ([NewEpoch]), so that nobody
// takes a sequence that was given out after the backup for one that is given out now;
// the backup's stays in the metadata for the record. It returns the epoch, empty for the
// other streams.
func (a *Archive) Complete(ctx context.Context, snapshot Snapshot, epoch string) (given string, err error) {
	name, err := logStreamOf(snapshot)
	if err != nil {
		return "", fmt.Errorf("restore stream %s: %w", name, err)
	}
	config, err := withConfig(snapshot.Config, func(_ map[string]json.RawMessage, metadata map[string]string) error {
		delete(metadata, streams.RestoringKey)
		if name != layout.EventStream {
			metadata[restoredWithKey] = epoch
			return nil
		}
		metadata[restoredFromKey] = metadata[streams.EpochKey]
		metadata[streams.EpochKey] = epoch
		given = epoch
		return nil
	})
	if err == nil {
		err = a.ask(ctx, "STREAM.UPDATE."+name, config, nil)
	}
	if err != nil {
		return "", fmt.Errorf("complete the restored stream %s: %w", name, err)
	}
	return given, nil
}

// logStreamOf returns the name of a snapshot's stream, which has to be one of the log's.
func logStreamOf(snapshot Snapshot) (string, error) {
	name, _, _, err := snapshot.Stream()
	if err == nil && !isLogStream(name) {
		err = fmt.Errorf("%w: it is of stream %q, which is none of the log's", ErrBadSnapshot, name)
	}
	return name, err
}

// Completed reports whether the restore that gives the log an epoch has completed the
// stream.
func (a *Archive) Completed(ctx context.Context, stream, epoch string) (bool, error) {
	info, err := a.info(ctx, stream)
	if errors.Is(err, jet.ErrNoStream) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up stream %s: %w", stream, err)
	}
	key := restoredWithKey
	if stream == layout.EventStream {
		key = streams.EpochKey
	}
	return info.Config.Metadata[key] == epoch && streams.BeingRestored(info) == nil, nil
}

// Restoring reports whether the server has the stream, and whether it is one that is
// being restored or that an interruption has left.
func (a *Archive) Restoring(ctx context.Context, stream string) (there, restoring bool, err error) {
	found, err := a.client.JS.Stream(ctx, stream)
	switch {
	case err == nil:
		return true, streams.BeingRestored(found.CachedInfo()) != nil, nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return false, false, nil
	}
	return false, false, fmt.Errorf("look up stream %s: %w", stream, jet.Unavailable(err))
}

// Vacant reports whether a restore may take the stream's place without being told to
// replace it: it is missing, being restored, or has never held a message.
func (a *Archive) Vacant(ctx context.Context, stream string) (bool, error) {
	found, err := a.client.JS.Stream(ctx, stream)
	switch {
	case err == nil:
		return vacant(found.CachedInfo()), nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return true, nil
	}
	return false, fmt.Errorf("look up stream %s: %w", stream, jet.Unavailable(err))
}

func vacant(info *jetstream.StreamInfo) bool {
	return streams.BeingRestored(info) != nil || info.State.LastSeq == 0
}

// Exists reports whether the server has the stream.
func (a *Archive) Exists(ctx context.Context, stream string) (bool, error) {
	there, _, err := a.Restoring(ctx, stream)
	return there, err
}

// restoreAttempts is how often a restore is begun that meets what is left of a
// removed stream: over some six seconds in all.
const restoreAttempts = 6

// restoreAfterRemoval begins again while the server (2.15) still clears the files
// of a stream of that name away, which it does after it has answered that the
// stream is gone: the new one then has sequences that its data does not fit. What
// such an attempt leaves is removed.
func (a *Archive) restoreAfterRemoval(ctx context.Context, name string, request restoreRequest, data io.ReadSeeker, progress func(int64)) error {
	rest := jet.NewPause(200*time.Millisecond, 2*time.Second)
	for attempt := 1; ; attempt++ {
		err := a.restore(ctx, name, request, data, progress)
		if err == nil || attempt == restoreAttempts || !a.leftover(ctx, name, err) {
			return err
		}
		if removed := a.client.JS.DeleteStream(ctx, name); removed != nil && !errors.Is(removed, jetstream.ErrStreamNotFound) {
			return errors.Join(err, removed)
		}
		if waited := rest.Wait(ctx); waited != nil {
			return errors.Join(err, waited)
		}
		if _, sought := data.Seek(0, io.SeekStart); sought != nil {
			return errors.Join(err, sought)
		}
	}
}

// leftover reports whether a restore has failed because of what is left of a stream: of
// one that was removed a moment ago, or of an earlier restore that was cut off, which the
// server goes on with for some seconds.
func (a *Archive) leftover(ctx context.Context, name string, err error) bool {
	if strings.Contains(err.Error(), "expected sequence does not match store") {
		return true
	}
	if !errors.Is(err, ErrStreamExists) && !strings.Contains(err.Error(), "cannot restore") {
		return false
	}
	there, restoring, err := a.Restoring(ctx, name)
	return err == nil && (!there || restoring)
}

func (a *Archive) restore(ctx context.Context, name string, request restoreRequest, data io.Reader, progress func(int64)) error {
	var begun struct {
		Deliver string `json:"deliver_subject"`
	}
	err := a.ask(ctx, "STREAM.RESTORE."+name, request, &begun)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || jet.HasCode(err, jet.CodeExistsForRestore) {
		return ErrStreamExists
	}
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if whole {
			return
		}
		// The end of the data makes the server give up at once, and not after some seconds.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = a.send(bounded, begun.Deliver, nil, 5*time.Second)
	}()
	chunk := make([]byte, min(chunkBytes, int(a.client.Conn.MaxPayload())))
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
			whole = true
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
	response, err := a.client.Conn.RequestWithContext(ctx, subject, chunk)
	if err != nil {
		return jet.Unavailable(err)
	}
	if len(response.Data) == 0 {
		return nil
	}
	return readAnswer(response.Data, nil)
}

func (a *Archive) forgetConsumers(ctx context.Context, stream string) error {
	restored, err := a.client.JS.Stream(ctx, stream)
	if err != nil {
		return jet.Unavailable(err)
	}
	names := restored.ConsumerNames(ctx)
	for name := range names.Name() {
		if err := a.client.JS.DeleteConsumer(ctx, stream, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("remove consumer %q: %w", name, jet.Unavailable(err))
		}
	}
	return names.Err()
}
