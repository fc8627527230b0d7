package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// The pace of consumption.
const (
	// ackWait is how long a batch of a process that died stays with it.
	ackWait = 10 * time.Second
	// idleWait is how long one request waits for the first record of a batch.
	idleWait = 5 * time.Second
	// idleHeartbeat shows within twice its length that no server serves a request.
	idleHeartbeat = time.Second
	// gatherWait is how long a batch that has begun waits for more.
	gatherWait = 20 * time.Millisecond
	// maxBatchBytes bounds what one batch holds beyond its first record.
	maxBatchBytes = 16 << 20
)

// RedeliveryWait is after what time others are handed what a process held that died.
// A consumer that is paused does not hand it out.
const RedeliveryWait = ackWait + 2*time.Second

// Consume hands every record of the log to apply, in batches of at most maxBatch,
// ascending within a batch, starting after what a consumer of that name has had
// acknowledged before. A batch is acknowledged once apply returned nil. While
// apply fails it gets the same batch again, with backoff. Several processes that
// consume under one name share the records between them.
//
// A record may be applied more than once: after a crash, or when the connection
// breaks between apply and the acknowledgement. What a broken-off batch held
// comes again after later records.
//
// Consume returns nil when ctx ends, and an error only for arguments that cannot
// be served; everything else is retried.
func (l *Log) Consume(
	ctx context.Context, consumer string, maxBatch int, apply func(ctx context.Context, records []messaging.Record) error,
) error {
	if maxBatch < 1 {
		return fmt.Errorf("consume as %q: maxBatch: want at least 1, got %d", consumer, maxBatch)
	}
	pause := jet.NewPause(100*time.Millisecond, 5*time.Second)
	// A batch whose application panics is one that fails.
	contained := func(ctx context.Context, records []messaging.Record) error {
		return l.guard.Do("projection "+consumer, func() error { return apply(ctx, records) })
	}
	interruptions := outage.NewBook(l.logger, slog.LevelWarn, "projection consumer is interrupted", "projection consumer goes on", "consumer", consumer)
	for ctx.Err() == nil {
		err := l.guard.Do("consumer "+consumer, func() error {
			return l.consume(ctx, consumer, maxBatch, contained, func() {
				interruptions.Worked()
				pause.Reset()
			})
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrInvalidConsumerName):
			return fmt.Errorf("consume as %q: %w", consumer, err)
		}
		interruptions.Failed(err)
		_ = pause.Wait(ctx) // Its only error is ctx's, which the loop asks for.
	}
	return nil
}

// consume makes the consumer and works through batches until something fails.
func (l *Log) consume(
	ctx context.Context, name string, maxBatch int, apply func(context.Context, []messaging.Record) error, working func(),
) error {
	setup, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	// The stream may be another than the one whose epoch is known.
	state, err := l.State(setup)
	if err != nil {
		return err
	}
	if err := l.forgetOutdated(setup, name, state); err != nil {
		return err
	}
	consumer, err := l.client.JS.CreateOrUpdateConsumer(setup, layout.EventStream, jetstream.ConsumerConfig{
		Durable:       name,
		Metadata:      map[string]string{streams.EpochKey: state.Epoch},
		Description:   "Keeps a projection up to date.",
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: max(1000, 4*maxBatch),
	})
	if err != nil {
		return fmt.Errorf("make consumer: %w", err)
	}
	// silent counts requests that brought nothing. unsettled numbers the questions whether
	// anything is due since the last record, from 1 on; it is 0 after the answer that nothing is.
	for silent, unsettled := 0, 1; ctx.Err() == nil; {
		if l.Epoch() != state.Epoch {
			return errNewEpoch
		}
		l.takeTurn(ctx, name)
		messages, err := gather(ctx, consumer, maxBatch)
		if len(messages) > 0 {
			silent, unsettled = 0, 1
			working()
			l.applyBatch(ctx, messages, apply)
		}
		if err != nil {
			return err
		}
		if len(messages) > 0 {
			continue
		}
		if silent++; unsettled == 0 && silent%stallRounds != 0 {
			continue
		}
		over, err := settled(ctx, consumer, l.cfg.ReadTimeout, unsettled)
		if err != nil {
			return fmt.Errorf("receive records: %w", err)
		}
		if unsettled++; over {
			unsettled = 0
			working()
		}
	}
	return ctx.Err()
}

// errNewEpoch ends the consumption of one epoch: the next begins with its first record.
var errNewEpoch = errors.New("the log has begun a new epoch")

// forgetOutdated removes a consumer of an earlier epoch: what it has had acknowledged
// was acknowledged there. A consumer of an earlier version of this service names no
// epoch, and is of the current one unless it is ahead of the log. Two processes may
// both remove it; the records are applied once more then.
func (l *Log) forgetOutdated(ctx context.Context, name string, state messaging.Extent) error {
	info, err := l.consumerInfo(ctx, name)
	if errors.Is(err, ErrNoConsumer) || err == nil && !outdated(info, state.Epoch) && info.AckFloor.Stream <= state.Last {
		return nil
	}
	if err != nil {
		return err
	}
	l.logger.Info("a consumer of an earlier epoch is removed: its projection is filled from the first record on", "consumer", name, "epoch", state.Epoch)
	return l.client.ForgetConsumer(ctx, layout.EventStream, name)
}

// outdated reports whether a consumer is of another epoch.
func outdated(info *jetstream.ConsumerInfo, epoch string) bool {
	of := info.Config.Metadata[streams.EpochKey]
	return of != "" && of != epoch
}

// gather waits for a first message and takes along what else there is.
func gather(ctx context.Context, consumer jetstream.Consumer, maxBatch int) ([]jetstream.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, idleWait)
	defer cancel()
	messages, err := fetch(consumer, 1, jetstream.FetchContext(waiting), jetstream.FetchHeartbeat(idleHeartbeat))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil // Nothing came; that is all.
	}
	if err != nil || len(messages) == 0 || maxBatch == 1 {
		return messages, err
	}
	more, err := fetch(consumer, maxBatch-1, jetstream.FetchMaxWait(gatherWait), jetstream.FetchMaxBytes(maxBatchBytes))
	return append(messages, more...), err
}

// fetch makes one request and collects its messages.
func fetch(consumer jetstream.Consumer, count int, opts ...jetstream.FetchOpt) ([]jetstream.Msg, error) {
	batch, err := consumer.Fetch(count, opts...)
	if err != nil {
		return nil, fmt.Errorf("ask for records: %w", err)
	}
	var messages []jetstream.Msg
	for msg := range batch.Messages() {
		messages = append(messages, msg)
	}
	if err := batch.Error(); err != nil {
		return messages, fmt.Errorf("receive records: %w", err)
	}
	return messages, nil
}

// applyBatch applies the messages until that succeeds, and acknowledges them; at
// the end of ctx it gives them back at once.
func (l *Log) applyBatch(ctx context.Context, messages []jetstream.Msg, apply func(context.Context, []messaging.Record) error) {
	records := l.recordsOf(messages)
	release := l.keepInProgress(messages)
	pause := jet.NewPause(100*time.Millisecond, 5*time.Second)
	for len(records) > 0 {
		err := apply(ctx, records)
		if err == nil {
			break
		}
		l.logger.Debug("batch is applied again", "records", len(records), "error", err)
		if pause.Wait(ctx) != nil {
			release()
			for _, msg := range messages {
				_ = msg.Nak() // A lost Nak costs the wait for redelivery, no more.
			}
			return
		}
	}
	release()
	for _, msg := range messages {
		_ = msg.Ack() // A lost acknowledgement is a redelivery, which apply bears.
	}
}

// recordsOf decodes the messages, ascending by sequence. One that is not a
// record is left out, and acknowledged with the rest.
func (l *Log) recordsOf(messages []jetstream.Msg) []messaging.Record {
	epoch := l.Epoch()
	records := make([]messaging.Record, 0, len(messages))
	for _, msg := range messages {
		meta, err := msg.Metadata()
		if err != nil {
			l.metrics.foreign.Inc()
			l.logger.Warn("consumed message has no metadata", "error", err)
			continue
		}
		found := jet.Message{
			Subject: msg.Subject(), Sequence: meta.Sequence.Stream, At: meta.Timestamp.UTC(), Header: msg.Headers(), Body: msg.Data(),
		}
		if record, ok := l.decoded(found, epoch); ok {
			record.Redelivered = meta.NumDelivered > 1
			records = append(records, record)
		}
	}
	slices.SortFunc(records, func(a, b messaging.Record) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	return records
}

// keepInProgress tells the server, until release is called, that the messages
// are being worked on, so that it does not hand them out again.
func (l *Log) keepInProgress(messages []jetstream.Msg) (release func()) {
	return wait.Every(ackWait/3, func() bool {
		defer l.guard.Recover("messages in progress", nil) // They are given out again later.
		for _, msg := range messages {
			_ = msg.InProgress() // A lost one is made good by the next.
		}
		return true
	})
}
