package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/recovery/oracle"
)

// ErrFull is returned by [Outbox.Publish] when the outbox holds as much as it may.
// A retry helps once the receipts come again.
var ErrFull = errors.New("outbox is full")

// The pace of an outbox.
const (
	repeatAfter = 500 * time.Millisecond
	repeatTick  = 10 * time.Millisecond
	// staleReceipt is how long a receipt of before may be on its way.
	staleReceipt = 50 * time.Millisecond
)

// Outbox is the producer of a trial. It publishes on Redis and keeps every event
// until its receipt, one in flight for each job; or it leaves that to a worker,
// and only keeps the books.
type Outbox struct {
	client   *redis.Client // nil with a worker
	receipts *redis.PubSub // nil with a worker
	worker   *worker       // nil without
	journal  *oracle.Journal
	limit    int
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	lanes   map[string]*lane
	pending int
	peak    int
	refused int
	acked   int
	last    time.Time // of the last receipt, or when something began to wait
	longest time.Duration
	fresh   time.Time     // when the youngest of the acknowledged was published first
	changed chan struct{} // closed and replaced with each receipt
}

// lane is what one job has to send, oldest first.
type lane struct {
	count int // of events ever published
	queue []parcel
}

type parcel struct {
	id      string
	payload []byte
	made    time.Time
	sent    time.Time
}

// newOutbox starts a producer, which runs until close.
func newOutbox(ctx context.Context, url string, limit int, journal *oracle.Journal) (*Outbox, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.MaxRetries = time.Second, time.Second, time.Second, -1
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	o := &Outbox{
		client: client, receipts: client.Subscribe(ctx, messaging.ReceiptsChannel), journal: journal, limit: limit,
		lanes: map[string]*lane{}, changed: make(chan struct{}), last: time.Now(),
	}
	if _, err := o.receipts.Receive(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("outbox: subscribe to receipts: %w", err), client.Close())
	}
	ctx, o.stop = context.WithCancel(context.WithoutCancel(ctx))
	o.running.Go(func() { o.collect(o.receipts.Channel(redis.WithChannelSize(10_000))) }) // ends with the subscription
	o.running.Go(func() { o.send(ctx) })                                                  // ends with ctx
	return o, nil
}

// close ends the producer. What it still holds is lost with it.
func (o *Outbox) close() {
	o.stop()
	if o.worker != nil {
		o.worker.kill()
		o.running.Wait()
		return
	}
	_ = o.receipts.Close()
	o.running.Wait()
	_ = o.client.Close()
}

// Publish takes one event of the job, of about size bytes. It returns [ErrFull]
// at the bound, and blocks for nothing.
func (o *Outbox) Publish(job string, size int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending >= o.limit {
		o.refused++
		return ErrFull
	}
	l := o.lanes[job]
	if l == nil {
		l = &lane{}
		o.lanes[job] = l
	}
	now := time.Now()
	envelope, err := messaging.NewDomain(job, map[string]any{
		"type": "step", "occurredAt": messaging.FormatTime(now), "number": l.count, "text": strings.Repeat("x", max(0, size-200)),
	})
	if err != nil {
		return err
	}
	envelope.ID = fmt.Sprintf("%s/%d", job, l.count)
	payload, err := envelope.Encode()
	if err != nil {
		return err
	}
	l.count++
	o.journal.Attempted(envelope.ID, job)
	l.queue = append(l.queue, parcel{id: envelope.ID, payload: payload, made: now})
	if o.worker != nil {
		o.worker.lines <- payload // has room for the whole outbox
	}
	if o.pending == 0 {
		o.last = now
	}
	o.pending++
	o.peak = max(o.peak, o.pending)
	return nil
}

// send publishes the first of each lane, and again what is overdue.
func (o *Outbox) send(ctx context.Context) {
	tick := time.NewTicker(repeatTick)
	defer tick.Stop()
	for {
		changed := o.change()
		if due := o.due(time.Now()); len(due) > 0 {
			// A failure is no news: what did not arrive is repeated.
			sending, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, _ = o.client.Pipelined(sending, func(pipe redis.Pipeliner) error {
				for _, payload := range due {
					pipe.Publish(sending, messaging.EventsChannel, payload)
				}
				return nil
			})
			cancel()
		}
		select {
		case <-tick.C:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (o *Outbox) change() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *Outbox) due(now time.Time) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due [][]byte
	for _, l := range o.lanes {
		if len(l.queue) > 0 && now.Sub(l.queue[0].sent) >= repeatAfter {
			l.queue[0].sent = now
			due = append(due, l.queue[0].payload)
		}
	}
	return due
}

// collect takes receipts until the subscription is closed.
func (o *Outbox) collect(messages <-chan *redis.Message) {
	for message := range messages {
		var receipt messaging.Receipt
		if json.Unmarshal([]byte(message.Payload), &receipt) == nil {
			o.take(receipt)
		}
	}
}

func (o *Outbox) take(receipt messaging.Receipt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lanes[receipt.JobID]
	if l == nil {
		return
	}
	at := slices.IndexFunc(l.queue, func(p parcel) bool { return p.id == receipt.ID })
	if at < 0 {
		return // a repeat's
	}
	o.journal.Acknowledged(receipt.ID, receipt.JobID, receipt.Sequence)
	now := time.Now()
	o.longest = max(o.longest, now.Sub(o.last))
	o.last = now
	if made := l.queue[at].made; made.After(o.fresh) {
		o.fresh = made
	}
	l.queue = slices.Delete(l.queue, at, at+1)
	o.pending--
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
			return fmt.Errorf("wait until %s: %w; %d of %d events have their receipts", what, ctx.Err(), o.acked, o.acked+o.pending)
		}
	}
}

// Acknowledged returns how many events have their receipts.
func (o *Outbox) Acknowledged() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
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
	return o.await(ctx, "everything is acknowledged", func() bool { return o.pending == 0 })
}

// quiet keeps the Redis driver from telling the terminal about every connection
// that a row means to break.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf implements the driver's logger.
func (silence) Printf(context.Context, string, ...any) {}
