package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

// errFull is returned by [Outbox.Publish] if the outbox is full. A retry helps once
// receipts arrive again.
var errFull = errors.New("outbox is full")

// receiptTimeout is how long the producer waits for a receipt before it repeats the
// event: shorter than its default, so that rows end sooner.
const receiptTimeout = 500 * time.Millisecond

// staleReceipt is how long a receipt that was sent earlier may take to arrive.
const staleReceipt = 50 * time.Millisecond

// Outbox is the producer of a trial, and records what was attempted and acknowledged.
// Package publisher or the worker of the Node package sends the events.
type Outbox struct {
	client    *redis.Client        // nil with a worker
	publisher *publisher.Publisher // nil with a worker
	worker    *worker              // nil without
	journal   *oracle.Journal
	limit     int
	stop      context.CancelFunc
	running   sync.WaitGroup

	mu      sync.Mutex     // guards the fields below
	counts  map[string]int // events ever published, by job
	beside  func(messaging.Envelope)
	pending map[string]time.Time // by id: when it was published first
	peak    int
	refused int
	acked   int
	last    time.Time // of the last receipt, or when an empty outbox got an event
	longest time.Duration
	fresh   time.Time     // when the newest acknowledged event was published first
	changed chan struct{} // closed and replaced with each receipt
}

// newBooks returns an outbox that sends nothing yet.
func newBooks(limit int, journal *oracle.Journal) *Outbox {
	return &Outbox{journal: journal, limit: limit, counts: map[string]int{}, pending: map[string]time.Time{}, changed: make(chan struct{}), last: time.Now()}
}

// newOutbox starts a producer, which runs until close.
func newOutbox(ctx context.Context, url string, limit int, journal *oracle.Journal) (*Outbox, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.MaxRetries = time.Second, time.Second, time.Second, -1
	opts.ContextTimeoutEnabled = true
	o := newBooks(limit, journal)
	o.client = redis.NewClient(opts)
	cfg := publisher.DefaultConfig()
	cfg.MaxEvents, cfg.MaxEventBytes, cfg.MaxBytes = limit, maxEnvelopeBytes, maxOutboxBytes
	cfg.ReceiptTimeout, cfg.DrainTimeout, cfg.OnReceipt = receiptTimeout, 0, o.take
	if o.publisher, err = publisher.New(o.client, cfg, nil); err != nil {
		return nil, errors.Join(err, o.client.Close())
	}
	ctx, o.stop = context.WithCancel(context.WithoutCancel(ctx))
	o.running.Go(func() { _ = o.publisher.Run(ctx) }) // ends with ctx; the events that it still has are lost
	return o, nil
}

// The bounds of the producer in bytes. They are wide, so that the number of events is
// the bound that rows reach.
const (
	maxEnvelopeBytes = 32 << 20
	maxOutboxBytes   = 1 << 30
)

// close ends the producer. The events that it still has are lost.
func (o *Outbox) close() {
	o.stop()
	if o.worker != nil {
		o.worker.kill()
		o.running.Wait()
		return
	}
	o.running.Wait()
	_ = o.client.Close()
}

// Publish publishes one event of the job, of about size bytes. It returns errFull at
// the bound, and does not block.
func (o *Outbox) Publish(job string, size int) error {
	envelope, beside, err := o.publish(job, size)
	if err == nil && beside != nil {
		beside(envelope)
	}
	return err
}

// publish is Publish without the call of the function that Beside has set, which it
// returns; nil if there is none.
func (o *Outbox) publish(job string, size int) (envelope messaging.Envelope, beside func(messaging.Envelope), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) >= o.limit {
		o.refused++
		return envelope, nil, errFull
	}
	now, number := time.Now(), o.counts[job]
	envelope, err = messaging.NewDomain(job, map[string]any{
		"type": "step", "occurredAt": messaging.FormatTime(now), "at": now.UnixMicro(), "number": number,
		"text": strings.Repeat("x", max(0, size-200)),
	})
	if err != nil {
		return envelope, nil, err
	}
	envelope.ID = fmt.Sprintf("%s/%d", job, number)
	o.counts[job]++
	o.journal.Attempted(envelope.ID, job)
	if len(o.pending) == 0 {
		o.last = now
	}
	o.pending[envelope.ID] = now
	o.peak = max(o.peak, len(o.pending))
	if o.worker == nil {
		_, err = o.publisher.TryPublish(envelope)
		return envelope, o.beside, err
	}
	payload, err := envelope.Encode()
	if err != nil {
		return envelope, nil, err
	}
	o.worker.lines <- payload // has room for the whole outbox
	return envelope, nil, nil
}

// Beside sets a function that is called with each published event, on the goroutine
// that publishes it; nil for none. A call that has begun may end after Beside returns.
// The function is not called for events of the worker of the Node package.
func (o *Outbox) Beside(take func(messaging.Envelope)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.beside = take
}

// Published returns how many events of each job were published.
func (o *Outbox) Published() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.counts)
}

// take records a receipt.
func (o *Outbox) take(receipt messaging.Receipt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	made, found := o.pending[receipt.ID]
	if !found {
		return // the receipt of a repeated event
	}
	o.journal.Acknowledged(receipt.ID, receipt.JobID, receipt.Sequence)
	now := time.Now()
	o.longest, o.last = max(o.longest, now.Sub(o.last)), now
	if made.After(o.fresh) {
		o.fresh = made
	}
	delete(o.pending, receipt.ID)
	o.acked++
	close(o.changed)
	o.changed = make(chan struct{})
}

// await waits until a condition on the producer holds.
func (o *Outbox) await(ctx context.Context, what string, holds func() bool) error {
	for {
		o.mu.Lock()
		done, changed := holds(), o.changed
		o.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			o.mu.Lock()
			defer o.mu.Unlock()
			return fmt.Errorf("wait until %s: %w; %d of %d events have their receipts", what, ctx.Err(), o.acked, o.acked+len(o.pending))
		}
	}
}

// Acknowledged returns how many events have a receipt.
func (o *Outbox) Acknowledged() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

// Attempted returns how many events were published, with or without a receipt.
func (o *Outbox) Attempted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked + len(o.pending)
}

// Peak returns the largest number of events that waited for receipts at once, and how
// many were refused at the bound.
func (o *Outbox) Peak() (held, refused int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.peak, o.refused
}

// AwaitFresh waits until an event that was published after since is acknowledged, and
// returns how long after since that was. A worker of the Node package may have to
// repeat many events first, and does not report which ones it has published: there, any
// receipt ends the wait.
func (o *Outbox) AwaitFresh(ctx context.Context, since time.Time) (time.Duration, error) {
	err := o.await(ctx, "publishing goes on", func() bool {
		return o.fresh.After(since) || o.worker != nil && o.last.After(since.Add(staleReceipt))
	})
	return time.Since(since), err
}

// AwaitMore waits for n further receipts.
func (o *Outbox) AwaitMore(ctx context.Context, n int) error {
	want := o.Acknowledged() + n
	return o.await(ctx, "more is acknowledged", func() bool { return o.acked >= want })
}

// AwaitIdle waits until every event has a receipt.
func (o *Outbox) AwaitIdle(ctx context.Context) error {
	return o.await(ctx, "everything is acknowledged", func() bool { return len(o.pending) == 0 })
}

// quiet stops the Redis driver from logging each connection that a row breaks on
// purpose.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf implements the driver's logger.
func (silence) Printf(context.Context, string, ...any) {}
