package publisher

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/letswriteabook/realtime/messaging"
)

// Publisher publishes events and keeps each until its receipt. Its methods may be
// called concurrently.
type Publisher struct {
	cfg     Config
	redis   *redis.Client
	http    *fallback // nil without a way over HTTP
	outbox  *outbox
	journal *journal // nil without one
	metrics *metrics
	tracer  trace.Tracer

	// wake has a value when there may be something to send.
	wake chan struct{}
	// subscribed reports whether the publisher is subscribed to the receipts. since is
	// when that last changed, and silent is when events were first sent without any
	// receipt since, both in Unix nanoseconds; silent is 0 while receipts arrive.
	subscribed    atomic.Bool
	since, silent atomic.Int64
	requests      sync.WaitGroup
}

// New returns a publisher on a Redis client, which it does not close. With a
// journal, it starts with the events that an earlier publisher left. Nothing is sent
// until [Publisher.Run] runs. A nil registerer leaves the metrics unregistered.
//
// The error names a wrong field of the config, matches [ErrJournal], or says
// which metric could not be registered.
func New(client *redis.Client, cfg Config, registerer prometheus.Registerer) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{cfg: cfg, redis: client, outbox: newOutbox(cfg), tracer: newTracer(), wake: make(chan struct{}, 1)}
	p.since.Store(time.Now().UnixNano())
	if cfg.URL != "" {
		p.http = newFallback(cfg)
	}
	var left []kept
	var err error
	if cfg.Dir != "" {
		if left, err = p.openJournal(); err != nil {
			return nil, err
		}
	}
	if p.metrics, err = newMetrics(registerer, p.outbox.size); err != nil {
		return nil, errors.Join(fmt.Errorf("publisher: %w", err), p.closeJournal())
	}
	for _, kept := range left {
		p.outbox.put(&entry{Pending: &Pending{id: kept.ID, jobID: kept.JobID, settled: make(chan struct{})}, body: kept.Body})
	}
	return p, nil
}

// Publish checks an event, adds an id if it has none, and keeps it until it is
// confirmed. If the outbox is full, Publish waits for room until ctx ends, and then
// returns [ErrFull]. The other errors are a *[messaging.Rejection] that says
// what is wrong with the event, [ErrIDTaken], [ErrJournal] and [ErrClosed].
//
// With a journal, Publish waits for the disk. If ctx ends while it waits for the lines of
// other events, it returns the error of ctx, and the event is not accepted. Once its own
// line is being written, it waits for the outcome however long the disk takes, because
// otherwise it would be unknown whether the event is in the journal.
//
// In an application with OpenTelemetry, Publish has a span, and an event without a
// TraceParent and without Raw gets the context of that span.
func (p *Publisher) Publish(ctx context.Context, envelope messaging.Envelope) (pending *Pending, err error) {
	envelope, end := p.traced(ctx, envelope)
	defer func() { end(err) }()
	checked, body, err := p.check(envelope)
	if err != nil {
		return nil, err
	}
	for {
		pending, room, err := p.admit(ctx, checked.ID, checked.JobID, body)
		if !errors.Is(err, ErrFull) {
			return pending, err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// TryPublish is like [Publisher.Publish], but returns [ErrFull] at once instead of
// waiting for room. With a journal it still waits until its line is written.
func (p *Publisher) TryPublish(envelope messaging.Envelope) (*Pending, error) {
	checked, body, err := p.check(envelope)
	if err != nil {
		return nil, err
	}
	pending, _, err := p.admit(context.Background(), checked.ID, checked.JobID, body)
	return pending, err
}

func (p *Publisher) admit(ctx context.Context, id, jobID string, body []byte) (*Pending, <-chan struct{}, error) {
	pending, room, news, err := p.outbox.add(ctx, id, jobID, body, func() error { return p.keep(id, jobID, body) })
	switch {
	case err == nil:
		p.stir()
	case news:
		p.metrics.full.Inc()
		if p.cfg.OnFull != nil {
			p.cfg.OnFull(p.outbox.size())
		}
	}
	return pending, room, err
}

// check returns the bytes to send, with an id in them, and the envelope that a gateway
// parses from them.
func (p *Publisher) check(envelope messaging.Envelope) (checked messaging.Envelope, body []byte, err error) {
	if envelope.Raw != nil {
		// Raw is sent as it is; the fields are not encoded.
		if checked, err = p.cfg.Catalogue.Decode(envelope.Raw, p.cfg.MaxEventBytes); err != nil {
			return checked, nil, err
		}
		envelope.ID = checked.ID
	}
	if envelope.ID == "" {
		envelope.ID = rand.Text()
		if envelope.Raw, err = withID(envelope.Raw, envelope.ID); err != nil {
			return checked, nil, err
		}
	}
	if body, err = envelope.Encode(); err != nil {
		return checked, nil, err
	}
	body = bytes.Clone(body) // the caller may change its slice
	checked, err = p.cfg.Catalogue.Decode(body, p.cfg.MaxEventBytes)
	return checked, body, err
}

// withID adds an id to the JSON of an envelope and leaves every other field as it is. It
// returns an empty body unchanged.
func withID(raw []byte, id string) ([]byte, error) {
	if raw == nil {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("add an id: %w", err)
	}
	fields["id"], _ = json.Marshal(id) // a string always encodes
	return json.Marshal(fields)
}

// Waiting returns the number of events that wait for receipts, and their size in bytes.
func (p *Publisher) Waiting() (events, bytes int) { return p.outbox.size() }

// stir wakes the goroutine that sends.
func (p *Publisher) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// confirmed settles the event of a receipt, if it is one of this publisher.
func (p *Publisher) confirmed(receipt messaging.Receipt, via string) {
	e := p.outbox.settle(eventKey{receipt.JobID, receipt.ID}, receipt, nil, p.forget)
	if e == nil {
		return
	}
	p.metrics.receipts.WithLabelValues(via).Inc()
	if p.cfg.OnReceipt != nil {
		p.cfg.OnReceipt(receipt)
	}
	p.stir()
}

// refused settles an event that will never be confirmed.
func (p *Publisher) refused(event eventKey, reason string, err error) {
	if p.outbox.settle(event, messaging.Receipt{}, err, p.forget) == nil {
		return
	}
	p.metrics.rejected.WithLabelValues(reason).Inc()
	if p.cfg.OnRejected != nil {
		p.cfg.OnRejected(event.id, event.jobID, err)
	}
	p.stir()
}

// Run sends waiting events until ctx ends. Then Publish accepts no further events, and
// Run continues until no event waits or [Config].DrainTimeout is over. The error matches
// [ErrUnconfirmed] if events are left. Run may be called once.
func (p *Publisher) Run(ctx context.Context) error {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var parts sync.WaitGroup
	parts.Go(func() { p.receive(sending) }) // ends with sending
	parts.Go(func() { p.deliver(sending) }) // ends with sending
	<-ctx.Done()
	p.outbox.shut()
	p.drain()
	stop()
	parts.Wait()
	p.requests.Wait()
	left := p.outbox.abandon()
	err := p.closeJournal()
	if left > 0 {
		err = errors.Join(fmt.Errorf("%w: %d events are left", ErrUnconfirmed, left), err)
	}
	return err
}

// drain returns when no event waits, or after DrainTimeout.
func (p *Publisher) drain() {
	overdue := time.NewTimer(p.cfg.DrainTimeout)
	defer overdue.Stop()
	for {
		p.outbox.mu.Lock()
		left, room := len(p.outbox.waiting), p.outbox.room
		p.outbox.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-room:
		case <-overdue.C:
			return
		}
	}
}
