package scenario

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/address"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// redisTimeout bounds one command, so that a dead connection is noticed soon.
	redisTimeout = time.Second
	// receiptTimeout is how soon an event that a subscriber received is repeated first. It
	// doubles up to slowestRepeat, because repeats do not help a deployment that is
	// behind. unreceivedPause is how soon an event without a subscriber is repeated.
	receiptTimeout  = 250 * time.Millisecond
	slowestRepeat   = 4 * time.Second
	unreceivedPause = 50 * time.Millisecond
	// repeatTick is how often the producer looks for what to repeat.
	repeatTick = 10 * time.Millisecond
)

// errNoReceipt is returned when events are not confirmed in time.
var errNoReceipt = errors.New("events without a receipt")

// producer is a worker that publishes each event when it is due, whatever became of
// those before, and repeats it until its receipt. (A worker that needs the order of
// attempts waits for each receipt, as publisher does; the harness judges
// the order of the log, and loads it with what is due.)
type producer struct {
	client *redis.Client
	name   string // of its connections, as Redis lists them
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	waiting   map[string]*attempt
	confirmed int
	repeats   int
	settled   chan struct{} // closed and replaced when nothing waits
}

// attempt is an event without a receipt.
type attempt struct {
	n    int
	body []byte
	wait time.Duration // how long a receipt may take, the next time
	next time.Time     // when it is repeated
}

// newProducer starts one, which runs until close, and returns when it receives
// receipts.
func (t *trial) newProducer(ctx context.Context) (*producer, error) {
	options, err := redisOptions(t.cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	p := &producer{name: "loadtest-" + rand.Text()[:12], waiting: map[string]*attempt{}, settled: make(chan struct{})}
	options.ClientName = p.name
	p.client = redis.NewClient(options)
	receipts := p.client.Subscribe(ctx, messaging.ReceiptsChannel)
	if _, err := receipts.Receive(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("redisUrl: %w", err), receipts.Close(), p.client.Close())
	}
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.done.Go(func() { p.receive(ctx, receipts) }) // ends with ctx
	p.done.Go(func() { p.repeat(ctx) })            // ends with ctx
	return p, nil
}

func redisOptions(url string) (*redis.Options, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redisUrl is %q: want a Redis address", address.Shown(url)) // The cause would repeat it.
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.MaxRetries = redisTimeout, redisTimeout, redisTimeout, -1
	options.ContextTimeoutEnabled = true
	return options, nil
}

// close ends it.
func (p *producer) close() error {
	p.stop()
	p.done.Wait()
	return p.client.Close()
}

// receive takes receipts until ctx ends; the driver renews the subscription. What was
// missed meanwhile is repeated, and answered again.
func (p *producer) receive(ctx context.Context, receipts *redis.PubSub) {
	abort := context.AfterFunc(ctx, func() { _ = receipts.Close() }) // ends the read under way
	defer abort()
	for ctx.Err() == nil {
		message, err := receipts.ReceiveMessage(ctx)
		if err != nil {
			_ = wait.For(ctx, unreceivedPause)
			continue
		}
		if receipt, refusal, err := messaging.ReceiptKey("").Decode([]byte(message.Payload)); err == nil && refusal == nil {
			p.confirm(receipt.ID)
		}
	}
}

func (p *producer) confirm(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[id] == nil {
		return
	}
	delete(p.waiting, id)
	if p.confirmed++; len(p.waiting) == 0 {
		close(p.settled)
		p.settled = make(chan struct{})
	}
}

// repeat publishes again what has no receipt, oldest first, until ctx ends.
func (p *producer) repeat(ctx context.Context) {
	for wait.For(ctx, repeatTick) == nil {
		for _, a := range p.overdue(time.Now()) {
			p.send(ctx, a)
		}
	}
}

func (p *producer) overdue(now time.Time) []*attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []*attempt
	for _, a := range p.waiting {
		if !a.next.IsZero() && now.After(a.next) {
			due = append(due, a)
		}
	}
	slices.SortFunc(due, func(a, b *attempt) int { return a.n - b.n })
	p.repeats += len(due)
	return due
}

// send publishes once, and says when the next attempt is.
func (p *producer) send(ctx context.Context, a *attempt) {
	receivers, err := p.client.Publish(ctx, messaging.EventsChannel, a.body).Result()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || receivers == 0 {
		a.next = time.Now().Add(unreceivedPause)
		return
	}
	a.next = time.Now().Add(a.wait)
	a.wait = min(2*a.wait, slowestRepeat)
}

// publish sends the events of a plan from one to another, without that, each when
// it is due. before is called with each number right before its event; nil: it is
// not.
func (p *producer) publish(ctx context.Context, t *trial, events *plan, from, to int, before func(n int)) error {
	events.begin(from)
	for n := from; n < to; n++ {
		id, body, err := events.body(n)
		if err != nil {
			return err
		}
		if err := wait.For(ctx, time.Until(events.due(n))); err != nil {
			return err
		}
		if before != nil {
			before(n)
		}
		a := &attempt{n: n, body: body, wait: receiptTimeout}
		p.mu.Lock()
		p.waiting[id] = a
		p.mu.Unlock()
		p.send(ctx, a)
		t.progress("publishing", n+1, events.total)
	}
	return nil
}

// await waits until every event has its receipt.
func (p *producer) await(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		left, settled := len(p.waiting), p.settled
		p.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-settled:
		case <-timer.C:
			return fmt.Errorf("%w after %s: %d", errNoReceipt, limit, left)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counts returns how many events were confirmed, and how often one was repeated.
func (p *producer) counts() (confirmed, repeats int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.confirmed, p.repeats
}
