package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// repeatAfter is how long the outbox waits for a receipt before it publishes an
// event again.
const repeatAfter = 300 * time.Millisecond

// outbox is a producer that loses nothing: it publishes an event on Redis, and
// again, until the receipt says that the log has it.
type outbox struct {
	t      testing.TB
	client *redis.Client
	ended  chan struct{} // closed when both of its goroutines have ended

	mu       sync.Mutex // guards the fields below
	sent     int
	pending  []entry
	receipts map[string]messaging.Receipt // by event id, the first one each
	idle     chan struct{}                // closed while nothing is pending
}

type entry struct {
	id      string
	payload []byte
	last    time.Time // when it was last published
}

// startOutbox starts a producer that lives until the test ends.
func startOutbox(t testing.TB, client *redis.Client) *outbox {
	t.Helper()
	o := &outbox{
		t: t, client: client, ended: make(chan struct{}),
		receipts: map[string]messaging.Receipt{}, idle: make(chan struct{}),
	}
	close(o.idle)
	ctx, stop := context.WithCancel(context.Background())
	subscription := o.client.Subscribe(ctx, messaging.ReceiptsChannel)
	if _, err := subscription.Receive(ctx); err != nil {
		stop()
		t.Fatalf("subscribe to receipts: %v", err)
	}
	var running sync.WaitGroup
	running.Go(func() { o.collect(subscription.Channel()) }) // ends with the subscription
	running.Go(func() { o.repeat(ctx) })                     // ends with ctx
	go func() { running.Wait(); close(o.ended) }()
	t.Cleanup(func() {
		stop()
		_ = subscription.Close()
		<-o.ended
	})
	return o
}

// send publishes one event of the job and keeps it until its receipt.
func (o *outbox) send(jobID string) {
	o.t.Helper()
	o.mu.Lock()
	o.sent++
	id := fmt.Sprintf("%s/%d", jobID, o.sent)
	o.mu.Unlock()
	envelope, err := messaging.NewDomain(jobID, map[string]any{
		"type": "step", "occurredAt": messaging.FormatTime(time.Now()), "text": "naïve – 一",
	})
	if err != nil {
		o.t.Fatal(err)
	}
	envelope.ID = id
	payload, err := envelope.Encode()
	if err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	if len(o.pending) == 0 {
		o.idle = make(chan struct{})
	}
	o.pending = append(o.pending, entry{id: id, payload: payload, last: time.Now()})
	o.mu.Unlock()
	o.publish(payload)
}

// publish ignores failures: an event that did not arrive is repeated.
func (o *outbox) publish(payload []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = o.client.Publish(ctx, messaging.EventsChannel, payload).Err()
}

// repeat publishes what is overdue until ctx ends.
func (o *outbox) repeat(ctx context.Context) {
	tick := time.NewTicker(repeatAfter / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var overdue [][]byte
		o.mu.Lock()
		for i := range o.pending {
			if e := &o.pending[i]; time.Since(e.last) >= repeatAfter {
				e.last = time.Now()
				overdue = append(overdue, e.payload)
			}
		}
		o.mu.Unlock()
		for _, payload := range overdue {
			o.publish(payload)
		}
	}
}

// collect takes receipts until the subscription is closed.
func (o *outbox) collect(messages <-chan *redis.Message) {
	for message := range messages {
		receipt, refusal, err := messaging.ReceiptKey("").Decode([]byte(message.Payload))
		if errors.Is(err, messaging.ErrCanary) {
			continue
		}
		if err != nil || refusal != nil {
			o.t.Errorf("receipt %q: %v", message.Payload, err)
			continue
		}
		o.take(receipt)
	}
}

func (o *outbox) take(receipt messaging.Receipt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if earlier, found := o.receipts[receipt.ID]; found {
		if earlier.Sequence != receipt.Sequence {
			o.t.Errorf("%s was stored twice: at %d and at %d", receipt.ID, earlier.Sequence, receipt.Sequence)
		}
		return
	}
	at := slices.IndexFunc(o.pending, func(e entry) bool { return e.id == receipt.ID })
	if at < 0 {
		o.t.Errorf("a receipt for %s, which was never published", receipt.ID)
		return
	}
	o.receipts[receipt.ID] = receipt
	o.pending = slices.Delete(o.pending, at, at+1)
	if len(o.pending) == 0 {
		close(o.idle)
	}
}

// settle waits until every event has its receipt.
func (o *outbox) settle() {
	o.t.Helper()
	o.mu.Lock()
	idle := o.idle
	o.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(patience):
		o.mu.Lock()
		defer o.mu.Unlock()
		o.t.Fatalf("%d of %d events have no receipt after %s", len(o.pending), o.sent, patience)
	}
}

// stored returns the receipts in the order of the log.
func (o *outbox) stored() []messaging.Receipt {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []messaging.Receipt
	for _, receipt := range o.receipts {
		all = append(all, receipt)
	}
	slices.SortFunc(all, func(a, b messaging.Receipt) int { return int(a.Sequence) - int(b.Sequence) })
	return all
}

// storedOf returns the receipts of one job in the order of the log.
func (o *outbox) storedOf(jobID string) []messaging.Receipt {
	return slices.DeleteFunc(o.stored(), func(r messaging.Receipt) bool { return r.JobID != jobID })
}
