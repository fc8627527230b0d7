package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// The waits between two attempts to append.
const (
	firstAppendPause   = 50 * time.Millisecond
	longestAppendPause = 2 * time.Second
)

// Append stores a record and returns its receipt.
//
// It retries whatever goes wrong, under the same message id, until ctx ends: an
// error other than ctx's means that no retry can help, and is one of
// [ErrIDConflict], [ErrTooLarge], [ErrInvalidJobID] and [ErrInvalidRecord].
// After ctx's error the record may or may not have been stored.
//
// Callers keep one append per job in flight: records of one job are stored in
// the order of the calls, and records of different jobs in any.
//
// An id belongs to its job: the same id in another job is another event. When the
// server knows the message id already, the stored record decides. The same body:
// the receipt says Duplicate. Another body under a producer's id: [ErrIDConflict]. No stored record: it was purged, and the
// server, whose memory of ids outlives a purge, would swallow the event; then
// it is stored under the id with the purged sequence added. All gateways derive
// the same addition, so that they still store it once.
//
// The server forgets ids after the duplicate window. Whether a later repeat is
// known too is [Log.KnowIDs]'s matter.
func (l *Log) Append(ctx context.Context, record messaging.Record) (messaging.Receipt, error) {
	msg, err := l.prepare(record)
	if err != nil {
		return messaging.Receipt{}, fmt.Errorf("append: %w", err)
	}
	started := time.Now()
	id := msg.Header.Get(jetstream.MsgIDHeader)
	pause := jet.NewPause(firstAppendPause, longestAppendPause)
	retried := false
	for {
		receipt, err := l.attempt(ctx, record, msg)
		var purged purgedError
		switch {
		case err == nil:
			l.metrics.appendSeconds.Observe(time.Since(started).Seconds())
			l.metrics.batchRecords.Observe(1)
			l.noteAppend("")
			if receipt.Duplicate {
				l.metrics.duplicates.Inc()
			} else {
				l.metrics.appended.Inc()
			}
			if retried {
				l.unsettled.Store(true)
			}
			l.settle(ctx)
			return receipt, nil
		case errors.Is(err, ErrIDConflict):
			l.metrics.conflicts.Inc()
			return messaging.Receipt{}, fmt.Errorf("append to %s: %w", msg.Subject, err)
		case errors.Is(err, nats.ErrMaxPayload), jet.HasCode(err, jet.CodeExceedsMaximum):
			return messaging.Receipt{}, fmt.Errorf("append to %s: %w: %w", msg.Subject, ErrTooLarge, err)
		case errors.As(err, &purged):
			msg.Header.Set(jetstream.MsgIDHeader, id+"~"+strconv.FormatUint(purged.sequence, 10))
			continue
		}
		if ctx.Err() != nil {
			return messaging.Receipt{}, fmt.Errorf("append to %s: %w, last attempt: %w", msg.Subject, ctx.Err(), err)
		}
		retried = true
		cause := jet.CauseOf(err)
		l.metrics.retries.WithLabelValues(string(cause)).Inc()
		l.noteAppend(cause)
		l.logger.Debug("append is retried", append([]any{"job", record.JobID, "cause", cause, "error", err}, messaging.TraceAttrs(record.TraceParent)...)...)
		if pause.Wait(ctx) != nil {
			return messaging.Receipt{}, fmt.Errorf("append to %s: %w, last attempt: %w", msg.Subject, ctx.Err(), err)
		}
	}
}

// prepare checks what no retry can mend and encodes the record.
func (l *Log) prepare(record messaging.Record) (*nats.Msg, error) {
	subject, err := layout.EventSubject(record.JobID)
	if err != nil {
		return nil, err
	}
	if record.Kind == "" || record.MessageID == "" {
		return nil, fmt.Errorf("%w: kind and message id are required", ErrInvalidRecord)
	}
	msg := layout.Encode(subject, record)
	if limit := l.client.Conn.MaxPayload(); int64(msg.Size()-len(msg.Subject)) > limit {
		return nil, fmt.Errorf("%w: %d bytes of body and headers, of at most %d", ErrTooLarge, msg.Size()-len(msg.Subject), limit)
	}
	return msg, nil
}

// purgedError says that the server refuses an id for a record it no longer has.
type purgedError struct{ sequence uint64 }

func (e purgedError) Error() string {
	return fmt.Sprintf("the original at sequence %d was purged", e.sequence)
}

// attempt publishes once and settles what the answer means.
func (l *Log) attempt(ctx context.Context, record messaging.Record, msg *nats.Msg) (messaging.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AckTimeout)
	defer cancel()
	if receipt, known, err := l.repeated(ctx, record, msg); known || err != nil {
		return receipt, err
	}
	epoch := l.Epoch()
	seen, _ := l.lineage.known(epoch)
	ack, err := l.client.JS.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return messaging.Receipt{}, err
	}
	if ack.Stream != layout.EventStream {
		return messaging.Receipt{}, fmt.Errorf("acknowledged by stream %q in place of %s", ack.Stream, layout.EventStream)
	}
	receipt := messaging.Receipt{ID: record.ID, JobID: record.JobID, Sequence: ack.Sequence, Duplicate: ack.Duplicate}
	if !ack.Duplicate {
		l.givenOut(ctx, epoch, seen, ack.Sequence)
		return receipt, nil
	}
	stored, err := l.stored(ctx, ack.Sequence)
	switch {
	case errors.Is(err, jet.ErrNotFound):
		return messaging.Receipt{}, purgedError{sequence: ack.Sequence}
	case err != nil:
		return messaging.Receipt{}, fmt.Errorf("compare with the record at sequence %d: %w", ack.Sequence, err)
	case record.ID != "" && (stored.Subject != msg.Subject || !messaging.SameEvent(stored.Body, msg.Data)):
		return messaging.Receipt{}, fmt.Errorf("id at sequence %d: %w", ack.Sequence, ErrIDConflict)
	}
	return receipt, nil
}

// givenOut notes that the log has given a sequence to a new record. One that this
// process had seen before the record was sent is given out a second time: the log
// has lost its tail, and begins a new epoch.
func (l *Log) givenOut(ctx context.Context, epoch string, seen Mark, sequence uint64) {
	if sequence > seen.Sequence {
		l.noteMark(Mark{Epoch: epoch, Sequence: sequence})
		return
	}
	detail := fmt.Sprintf("the log has given out sequence %d again, and had given out %d", sequence, seen.Sequence)
	if _, err := l.turn(ctx, epoch, EpochTailLost, detail, sequence-1); err != nil {
		l.logger.Warn("the log has lost its tail, and no new epoch could be begun yet", "detail", detail, "error", err)
	}
}

// stored returns the message at a sequence. The nearest replica is asked first.
// That there is none counts only from a leader whose log reaches that far: one
// that lost its office a moment ago may not have it yet.
func (l *Log) stored(ctx context.Context, sequence uint64) (jet.Message, error) {
	found, err := l.client.Direct(ctx, layout.EventStream, jet.Request{Sequence: sequence})
	if !errors.Is(err, jet.ErrNotFound) {
		return found, err
	}
	found, err = l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: sequence})
	if !errors.Is(err, jet.ErrNotFound) {
		return found, err
	}
	head, err := l.Head(ctx)
	if err != nil {
		return jet.Message{}, err
	}
	if head < sequence {
		return jet.Message{}, fmt.Errorf("%w: the log ends at %d", ErrUnavailable, head)
	}
	return jet.Message{}, jet.ErrNotFound
}
