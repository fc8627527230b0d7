package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// hand publishes as a worker without an outbox does.
type hand struct {
	client *redis.Client
	trial  *Trial
}

func (t *Trial) newHand() *hand { return &hand{client: t.newRedis(), trial: t} }

// newRedis returns a client of the trial's Redis. The caller must close it.
func (t *Trial) newRedis() *redis.Client {
	opts, err := redis.ParseURL(t.redisURL())
	if err != nil {
		panic(err) // the outbox has parsed the same URL
	}
	return redis.NewClient(opts)
}

func (w *hand) close() { _ = w.client.Close() }

// send publishes a text once, and fails if no gateway is subscribed.
func (w *hand) send(ctx context.Context, text []byte) error {
	heard, err := w.client.Publish(ctx, messaging.EventsChannel, text).Result()
	if err == nil && heard == 0 {
		err = errors.New("no gateway is subscribed")
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// event returns an envelope for the first job that contains a text.
func (w *hand) event(id, text string, emitted time.Time) ([]byte, error) {
	return w.eventOf(w.trial.jobs[0], id, text, emitted)
}

// eventOf is event for any job.
func (w *hand) eventOf(job, id, text string, emitted time.Time) ([]byte, error) {
	envelope, err := messaging.NewDomain(job, map[string]any{
		"type": "step", "occurredAt": messaging.FormatTime(time.Now()), "text": text,
	})
	if err != nil {
		return nil, err
	}
	envelope.ID = id
	if !emitted.IsZero() {
		envelope.EmittedAt = messaging.FormatTime(emitted)
	}
	return envelope.Encode()
}

// publish publishes an event that must be stored.
func (w *hand) publish(ctx context.Context, id, text string, emitted time.Time) error {
	payload, err := w.event(id, text, emitted)
	if err != nil {
		return err
	}
	w.trial.Journal.Attempted(id, w.trial.jobs[0])
	return w.send(ctx, payload)
}

// batch is a set of events that are published repeatedly with identical bytes.
type batch struct {
	order []string // their ids
	texts map[string][]byte
}

// newBatch creates events, distributed over the jobs, and records that they are attempted.
func (w *hand) newBatch(name string, events int) (batch, error) {
	b := batch{texts: map[string][]byte{}}
	for i := range events {
		id, job := fmt.Sprint(name, "-", i), w.trial.jobs[i%len(w.trial.jobs)]
		text, err := w.eventOf(job, id, "", time.Time{})
		if err != nil {
			return b, err
		}
		b.order, b.texts[id] = append(b.order, id), text
		w.trial.Journal.Attempted(id, job)
	}
	return b, nil
}

// publishAll publishes a batch once, in order, and returns the receipts by id.
func (w *hand) publishAll(ctx context.Context, b batch) (map[string]messaging.Receipt, error) {
	heard := w.client.Subscribe(ctx, messaging.ReceiptsChannel)
	defer func() { _ = heard.Close() }()
	if _, err := heard.Receive(ctx); err != nil {
		return nil, fmt.Errorf("listen for receipts: %w", err)
	}
	for _, id := range b.order {
		if err := w.send(ctx, b.texts[id]); err != nil {
			return nil, err
		}
	}
	receipts := map[string]messaging.Receipt{}
	for len(receipts) < len(b.order) {
		message, err := heard.ReceiveMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("%d of %d events have a receipt: %w", len(receipts), len(b.order), err)
		}
		receipt, refusal, err := messaging.ReceiptKey("").Decode([]byte(message.Payload))
		if errors.Is(err, messaging.ErrCanary) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receipt %q: %w", message.Payload, err)
		}
		if _, mine := b.texts[receipt.ID]; mine && refusal == nil {
			receipts[receipt.ID] = receipt
		}
	}
	return receipts, nil
}

// publishNew creates a batch and publishes it once; its receipts count as acknowledged.
func (w *hand) publishNew(ctx context.Context, name string, events int) (batch, map[string]messaging.Receipt, error) {
	b, err := w.newBatch(name, events)
	if err != nil {
		return b, nil, err
	}
	receipts, err := w.publishAll(ctx, b)
	for id, receipt := range receipts {
		w.trial.Journal.Acknowledged(id, receipt.JobID, receipt.Sequence)
	}
	return b, receipts, err
}

// expectRepeats publishes a batch once more. Its receipts must be duplicates of the earlier
// ones.
func (w *hand) expectRepeats(ctx context.Context, b batch, earlier map[string]messaging.Receipt) error {
	repeated, err := w.publishAll(ctx, b)
	if err != nil {
		return err
	}
	for _, id := range b.order {
		if !repeated[id].Duplicate || repeated[id].Sequence != earlier[id].Sequence {
			return fmt.Errorf("%s was stored at %d and, repeated, answered with %+v", id, earlier[id].Sequence, repeated[id])
		}
	}
	return nil
}
