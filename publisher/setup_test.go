package publisher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that must happen.
const patience = 2 * time.Minute

// quick is a pace to wait for.
func quick() publisher.Config {
	cfg := publisher.DefaultConfig()
	cfg.ReceiptTimeout, cfg.MinBackoff, cfg.MaxBackoff = 50*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond
	cfg.FallbackAfter, cfg.DrainTimeout = 100*time.Millisecond, 0
	return cfg
}

// run starts a publisher, and returns what ends it.
func run(t testing.TB, client *redis.Client, cfg publisher.Config) (*publisher.Publisher, func() error) {
	t.Helper()
	p, err := publisher.New(client, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }() // ends with stop
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return p, stop
}

// event is an event of a job with an id, or without.
func event(t testing.TB, jobID, id string) messaging.Envelope {
	t.Helper()
	envelope, err := messaging.NewDomain(jobID, map[string]any{"type": "step", "occurredAt": "now", "text": "a < b – 一"})
	if err != nil {
		t.Fatal(err)
	}
	envelope.ID = id
	return envelope
}

// log stands for gateway and log: it receives events, stores each id once, and sends
// receipts, unless the test has it swallow the event. The faults of real ones are
// tested in internal/e2e.
type log struct {
	client *redis.Client

	mu       sync.Mutex // guards all below
	stored   []messaging.Receipt
	bodies   []string
	known    map[string]messaging.Receipt
	received map[string]int
	swallow  func(id string, times int) bool // nil: nothing
	changed  chan struct{}
}

// startLog subscribes until the test ends.
func startLog(t testing.TB, client *redis.Client, swallow func(id string, times int) bool) *log {
	t.Helper()
	l := &log{client: client, known: map[string]messaging.Receipt{}, received: map[string]int{}, swallow: swallow, changed: make(chan struct{})}
	subscription := client.Subscribe(t.Context(), messaging.EventsChannel)
	if _, err := subscription.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the subscription
		defer close(ended)
		for message := range subscription.Channel() {
			l.take(t, message.Payload)
		}
	}()
	t.Cleanup(func() {
		_ = subscription.Close()
		<-ended
	})
	return l
}

func (l *log) take(t testing.TB, payload string) {
	var envelope messaging.Envelope
	if err := json.Unmarshal([]byte(payload), &envelope); err != nil || envelope.ID == "" {
		t.Errorf("published %q: %v", payload, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received[envelope.ID]++
	if l.swallow != nil && l.swallow(envelope.ID, l.received[envelope.ID]) {
		return
	}
	receipt, known := l.known[envelope.ID]
	receipt.Duplicate = known
	if !known {
		receipt = messaging.Receipt{ID: envelope.ID, JobID: envelope.JobID, Sequence: uint64(len(l.stored) + 1)}
		l.known[envelope.ID] = receipt
		l.stored, l.bodies = append(l.stored, receipt), append(l.bodies, payload)
	}
	answer, _ := json.Marshal(receipt)
	_ = l.client.Publish(context.Background(), messaging.ReceiptsChannel, answer)
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until n events are stored, and returns their ids by job.
func (l *log) await(t testing.TB, n int) map[string][]string {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		byJob, changed := map[string][]string{}, l.changed
		for _, receipt := range l.stored {
			byJob[receipt.JobID] = append(byJob[receipt.JobID], receipt.ID)
		}
		count := len(l.stored)
		l.mu.Unlock()
		if count >= n {
			return byJob
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d of %d events are stored", count, n)
		}
	}
}

// wait returns an event's receipt.
func wait(t testing.TB, pending *publisher.Pending) (messaging.Receipt, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	receipt, err := pending.Wait(ctx)
	if ctx.Err() != nil {
		t.Fatalf("nothing became of %q", pending.ID())
	}
	return receipt, err
}

// publishAll publishes n events of each job, and returns them.
func publishAll(t testing.TB, p *publisher.Publisher, jobs, n int) (all []*publisher.Pending, want map[string][]string) {
	t.Helper()
	want = map[string][]string{}
	for i := range n {
		for j := range jobs {
			job := fmt.Sprintf("job-%d", j)
			id := fmt.Sprintf("%s/%d", job, i)
			pending, err := p.Publish(t.Context(), event(t, job, id))
			if err != nil {
				t.Fatal(err)
			}
			all, want[job] = append(all, pending), append(want[job], id)
		}
	}
	return all, want
}

func startRedis(t testing.TB) *redis.Client { return testkit.StartRedis(t).Client() }
