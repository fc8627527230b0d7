package eventstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// The headers of an atomic batch (nats-server 2.12 or later, ADR-50). The server keeps
// them in the stored records.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

const (
	// maxBatchRecords is the largest batch that a server takes by default.
	maxBatchRecords = 1000
	// batchLookups is how many stored records are read at a time, to compare them with
	// events of a batch whose ids are known.
	batchLookups = 16
)

// ErrBatchRefused is returned by [Log.AppendBatch] when nothing was stored because one
// of the records cannot be: its id is in the log, it does not fit, or the server takes
// no such batch. Smaller batches help, and [Log.Append] for the record that is the
// reason, which the server does not name.
var ErrBatchRefused error = batchRefusedError{}

type batchRefusedError struct{}

func (batchRefusedError) Error() string { return "the batch was refused, and nothing of it is stored" }

// BatchRefused marks the error for packages that cannot import this one.
func (batchRefusedError) BatchRefused() bool { return true }

// batchOutcome is how one attempt to store a batch ended: the label of a counter.
type batchOutcome string

const (
	batchStored  batchOutcome = "stored"
	batchRefused batchOutcome = "refused"
	batchUnknown batchOutcome = "unknown"
)

// MaxBatch returns how many records [Log.AppendBatch] takes at a time; 0 where the
// server or the stream has no batches.
func (l *Log) MaxBatch() int { return int(l.maxBatch.Load()) }

// serverHasBatches reports whether the server can be asked for atomic batches.
func (l *Log) serverHasBatches() bool { return !before(l.client.Conn.ConnectedServerVersion(), 12) }

// noteBatches records whether the stream takes batches, and logs once that it does not.
func (l *Log) noteBatches(c jetstream.StreamConfig) {
	if c.AllowAtomicPublish {
		l.maxBatch.Store(maxBatchRecords)
		return
	}
	l.maxBatch.Store(0)
	if !l.readOnly {
		l.singles.Do(func() {
			l.logger.Warn("events are stored one by one: batches need NATS server 2.12 or later and a stream with allow_atomic, which the start of a gateway sets",
				"server", l.client.Conn.ConnectedServerVersion(), "stream", layout.EventStream)
		})
	}
}

// AppendBatch stores records in the order given, all of them or none, with one write to
// disk, or one proposal in a cluster. It makes one attempt of at most
// [Config].AckTimeout.
//
// Records whose ids are known to be in the log are not stored again: their receipts say
// Duplicate, as those of [Log.Append] do. With [ErrBatchRefused] nothing is stored.
// After any other error the outcome is unknown: all of the new records may be stored,
// now or a moment later, or none. Appending them again under the same message ids, by
// either method, stores each once; the caller does so before it appends any later
// record of the same jobs, which keeps the order of each job.
func (l *Log) AppendBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error) {
	started := time.Now()
	receipts, err := l.attemptBatch(ctx, records)
	switch {
	case err == nil:
		duplicates := 0
		for _, receipt := range receipts {
			if receipt.Duplicate {
				duplicates++
			}
		}
		took := time.Since(started).Seconds()
		for range records {
			l.metrics.appendSeconds.Observe(took)
		}
		l.metrics.batchRecords.Observe(float64(len(records)))
		l.metrics.duplicates.Add(float64(duplicates))
		l.metrics.appended.Add(float64(len(records) - duplicates))
		l.metrics.batches.WithLabelValues(string(batchStored)).Inc()
		l.noteAppend("")
		l.settle(ctx)
		return receipts, nil
	case errors.Is(err, ErrBatchRefused):
		l.metrics.batches.WithLabelValues(string(batchRefused)).Inc()
	default:
		l.metrics.batches.WithLabelValues(string(batchUnknown)).Inc()
		if ctx.Err() == nil {
			l.noteAppend(jet.CauseOf(err))
		}
		l.unsettled.Store(true)
	}
	return nil, fmt.Errorf("append a batch of %d: %w", len(records), err)
}

// Check returns the error of a record that can never be appended: [ErrTooLarge],
// [ErrInvalidJobID] or [ErrInvalidRecord].
func (l *Log) Check(record messaging.Record) error {
	_, err := l.prepare(record)
	return err
}

// settle asks for the state of the log after an append whose outcome was unknown: the
// log may be another one by now.
func (l *Log) settle(ctx context.Context) {
	if l.unsettled.Swap(false) {
		l.refreshEpoch(ctx)
	}
}

// refused returns an error that is [ErrBatchRefused] and says why.
func refused(cause error) error { return fmt.Errorf("%w: %w", ErrBatchRefused, cause) }

// attemptBatch makes the attempt.
func (l *Log) attemptBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AckTimeout)
	defer cancel()
	messages := make([]*nats.Msg, len(records))
	for n, record := range records {
		var err error
		if messages[n], err = l.prepare(record); err != nil {
			return nil, refused(err)
		}
	}
	receipts, err := l.repeatedAmong(ctx, records, messages)
	if err != nil {
		return nil, err
	}
	fresh := slices.DeleteFunc(slices.Clone(messages), func(msg *nats.Msg) bool { return msg == nil })
	if len(fresh) == 0 {
		return receipts, nil
	}
	epoch := l.Epoch()
	seen, _ := l.lineage.known(epoch)
	last, err := l.publishBatch(ctx, layout.EventStream, fresh)
	if err != nil {
		if jet.HasCode(err, jet.CodeBatchDisabled) {
			l.maxBatch.Store(0)
		}
		return nil, err
	}
	// The server holds the stream for the whole batch, so its sequences follow one
	// another: TestSequencesOfABatchFollowOneAnother.
	next := last - uint64(len(fresh)) + 1
	l.givenOut(ctx, epoch, seen, next)
	for n, msg := range messages {
		if msg != nil {
			receipts[n] = messaging.Receipt{ID: records[n].ID, JobID: records[n].JobID, Sequence: next}
			next++
		}
	}
	l.noteMark(Mark{Epoch: epoch, Sequence: last})
	return receipts, nil
}

// repeatedAmong returns the receipts of the records whose ids are known to be in the
// log, in their places, and sets their messages to nil.
func (l *Log) repeatedAmong(ctx context.Context, records []messaging.Record, messages []*nats.Msg) ([]messaging.Receipt, error) {
	receipts := make([]messaging.Receipt, len(records))
	if l.known == nil {
		return receipts, nil
	}
	lookups, ctx := errgroup.WithContext(ctx)
	lookups.SetLimit(batchLookups)
	for n, msg := range messages {
		id := trackedID(msg.Subject, msg.Header)
		if id == "" {
			continue
		}
		sequence, err := l.known.sequence(ctx, id)
		if err != nil {
			return nil, errors.Join(err, lookups.Wait())
		}
		if sequence == 0 {
			continue
		}
		lookups.Go(func() error {
			return l.guard.Do("look-up of an id", func() error {
				receipt, known, err := l.repeated(ctx, records[n], msg)
				if errors.Is(err, ErrIDConflict) {
					return refused(err)
				}
				if known {
					receipts[n], messages[n] = receipt, nil
				}
				return err
			})
		})
	}
	return receipts, lookups.Wait()
}

// batchAck is the server's answer to the last message of a batch.
type batchAck struct {
	Stream   string              `json:"stream"`
	Sequence uint64              `json:"seq"`
	Batch    string              `json:"batch"`
	Count    int                 `json:"count"`
	Error    *jetstream.APIError `json:"error"`
}

// publishBatch sends messages to a stream as one atomic batch, and returns the sequence of
// the last.
func (l *Log) publishBatch(ctx context.Context, stream string, messages []*nats.Msg) (uint64, error) {
	id := rand.Text()
	shared := []string{id}
	sequences := make([]string, len(messages))
	for n, msg := range messages {
		sequences[n] = strconv.Itoa(n + 1)
		msg.Header[headerBatchID] = shared
		msg.Header[headerBatchSequence] = sequences[n : n+1 : n+1]
	}
	last := messages[len(messages)-1]
	last.Header.Set(headerBatchCommit, "1")
	for _, msg := range messages[:len(messages)-1] {
		if err := l.client.Conn.PublishMsg(msg); err != nil {
			return 0, err
		}
	}
	answer, err := l.client.Conn.RequestMsgWithContext(ctx, last)
	if err != nil {
		return 0, err
	}
	var ack batchAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("read the acknowledgement: %w", err)
	}
	switch {
	case ack.Error != nil && jet.HasCode(ack.Error, jet.CodeBatchIncomplete, jet.CodeInsufficientResources):
		return 0, ack.Error // A message was lost on the way, or the server is overloaded.
	case ack.Error != nil:
		return 0, refused(ack.Error)
	case ack.Stream != stream || ack.Batch != id || ack.Count != len(messages) || ack.Sequence < uint64(len(messages)):
		return 0, fmt.Errorf("acknowledged as %d records of batch %q by stream %q, want %d of %q by %s",
			ack.Count, ack.Batch, ack.Stream, len(messages), id, stream)
	}
	return ack.Sequence, nil
}
