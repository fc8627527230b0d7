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

// errFull is returned by [Outbox.Publish] when the outbox holds as much as it may.
// A retry helps once the receipts come again.
var errFull = errors.New("outbox is full")

// receiptTimeout is how soon the producer repeats what has no receipt: sooner than
// is its default, so that rows end sooner.
const receiptTimeout = 500 * time.Millisecond

// staleReceipt is how long a receipt of before may be on its way.
const staleReceipt = 50 * time.Millisecond

// Outbox is the producer of a trial, and keeps the books of it: what was attempted
// and what was acknowledged. The events are sent by publisher, or by the
// worker of the Node package.
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
	last    time.Time // of the last receipt, or when something began to wait
	longest time.Duration
	fresh   time.Time     // when the youngest of the acknowledged was published first
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
	o.running.Go(func() { _ = o.publisher.Run(ctx) }) // ends with ctx; what it leaves is lost with it
	return o, nil
}

// The bounds of the producer beside its number of events: wide, because rows are
// about the number.
const (
	maxEnvelopeBytes = 32 << 20
	maxOutboxBytes   = 1 << 30
)

// close ends the producer. What it still holds is lost with it.
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

// Publish takes one event of the job, of about size bytes. It returns errFull
// at the bound, and blocks for nothing.
func (o *Outbox) Publish(job string, size int) error {
	envelope, beside, err := o.publish(job, size)
	if err == nil && beside != nil {
		beside(envelope)
	}
	return err
}

// publish is Publish without what is done beside it, which it returns; nil for nothing.
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

// Beside has each event that is published given to a function, on the goroutine that
// publishes it. nil ends it, but for a call that has begun. Events of a worker of the Node package are not given.
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

// take notes a receipt.
func (o *Outbox) take(receipt messaging.Receipt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	made, found := o.pending[receipt.ID]
	if !found {
		return // a repeat's
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

// Acknowledged returns how many events have their receipts.
func (o *Outbox) Acknowledged() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

// Attempted returns how many events were taken in.
func (o *Outbox) Attempted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked + len(o.pending)
}

// Peak returns the most events that were held at once, and how many were refused
// at the bound.
func (o *Outbox) Peak() (held, refused int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.peak, o.refused
}

// AwaitFresh waits until an event is acknowledged that was published after the
// given moment, and returns how long after it that was. A worker may have much to
// repeat first, and nobody here knows what it has published: any receipt will do.
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

// AwaitIdle waits until nothing is held.
func (o *Outbox) AwaitIdle(ctx context.Context) error {
	return o.await(ctx, "everything is acknowledged", func() bool { return len(o.pending) == 0 })
}

// quiet keeps the Redis driver from telling the terminal about every connection
// that a row means to break.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf implements the driver's logger.
func (silence) Printf(context.Context, string, ...any) {}
