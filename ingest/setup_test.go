package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// bundle has the servers that a test of ingest uses.
type bundle struct {
	server *testkit.Redis
	client *redis.Client
	log    *memoryLog
}

func setup(t *testing.T) *bundle {
	t.Helper()
	server := testkit.StartRedis(t)
	return &bundle{server: server, client: server.Client(), log: newMemoryLog()}
}

// gateway is a running Ingest.
type gateway struct {
	*ingest.Ingest
	registry *prometheus.Registry
	cancel   context.CancelFunc
	ended    chan error
	stopped  sync.Once
	err      error
}

// quick returns a configuration with short times for tests.
func quick() ingest.Config {
	cfg := ingest.DefaultConfig()
	cfg.PingInterval = 100 * time.Millisecond
	cfg.PingTimeout = 10 * time.Second // or a busy machine looks like a dead Redis
	cfg.BackoffMin = 10 * time.Millisecond
	cfg.BackoffMax = 100 * time.Millisecond
	cfg.RetryInterval = time.Millisecond
	cfg.ReceiptTimeout = 500 * time.Millisecond
	return cfg
}

// start runs an Ingest until the test ends; it does not wait for Redis.
func (b *bundle) start(t *testing.T, cfg ingest.Config) *gateway {
	t.Helper()
	return start(t, b.server.Client(), b.log, cfg)
}

func start(t *testing.T, client *redis.Client, log ingest.Log, cfg ingest.Config) *gateway {
	t.Helper()
	return startLogged(t, client, log, cfg, slog.New(slog.DiscardHandler))
}

func startLogged(t *testing.T, client *redis.Client, log ingest.Log, cfg ingest.Config, logger *slog.Logger) *gateway {
	t.Helper()
	g := &gateway{registry: prometheus.NewRegistry(), ended: make(chan error, 1)}
	var err error
	g.Ingest, err = ingest.New(client, log, messaging.DefaultCatalogue(), cfg, logger, g.registry)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() { g.ended <- g.Run(ctx) }() // stopped by the cleanup
	t.Cleanup(func() { _ = g.stop() })
	return g
}

// subscribed runs an Ingest and waits until it is subscribed.
func (b *bundle) subscribed(t *testing.T, cfg ingest.Config) *gateway {
	t.Helper()
	g := b.start(t, cfg)
	g.waitConnected(t)
	return g
}

// stop ends Run and returns its error.
func (g *gateway) stop() error {
	g.stopped.Do(func() {
		g.cancel()
		g.err = <-g.ended
	})
	return g.err
}

func (g *gateway) waitConnected(t *testing.T) {
	t.Helper()
	eventually(t, "the subscription", func() bool { return g.Connected() == nil })
}

// metric returns the value of one series, such as `receipts_total{sent}`.
func (g *gateway) metric(t *testing.T, name string) float64 {
	t.Helper()
	name, label, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	families, err := g.registry.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	for _, family := range families {
		if family.GetName() != "realtime_ingest_"+name {
			continue
		}
		for _, series := range family.GetMetric() {
			if label == "" || series.GetLabel()[0].GetValue() == label {
				return series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s{%s}", name, label)
	return 0
}

func (b *bundle) publish(t *testing.T, payloads ...string) {
	t.Helper()
	for _, payload := range payloads {
		if err := b.client.Publish(t.Context(), messaging.EventsChannel, payload).Err(); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
}

// receipts returns a stream of receipts that ends with the test.
func (b *bundle) receipts(t *testing.T) <-chan messaging.Receipt {
	t.Helper()
	pubsub := b.client.Subscribe(context.Background(), messaging.ReceiptsChannel)
	if _, err := pubsub.Receive(t.Context()); err != nil {
		t.Fatalf("subscribe to receipts: %v", err)
	}
	out := make(chan messaging.Receipt, 10_000)
	done := make(chan struct{})
	go func() { // ends when the cleanup closes the subscription
		defer close(done)
		for {
			message, err := pubsub.ReceiveMessage(context.Background())
			if errors.Is(err, redis.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			if receipt, refusal, err := messaging.ReceiptKey("").Decode([]byte(message.Payload)); err == nil && refusal == nil {
				out <- receipt
			}
		}
	}()
	t.Cleanup(func() {
		_ = pubsub.Close()
		<-done
	})
	return out
}

func next(t *testing.T, receipts <-chan messaging.Receipt) messaging.Receipt {
	t.Helper()
	select {
	case receipt := <-receipts:
		return receipt
	case <-time.After(patience):
		t.Fatalf("no receipt for %s", patience)
		return messaging.Receipt{}
	}
}

// eventually polls a condition that nothing signals.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// event returns an envelope, without an id if id is empty.
func event(jobID, id string, number int) string {
	field := ""
	if id != "" {
		field = fmt.Sprintf(`"id":%q,`, id)
	}
	return fmt.Sprintf(`{%s"version":1,"kind":"domain","jobId":%q,"event":{"type":"t","occurredAt":"2026-01-01T00:00:00Z","n":%d}}`, field, jobID, number)
}

// sized returns an envelope of exactly sizeBytes.
func sized(t *testing.T, jobID string, sizeBytes int) string {
	t.Helper()
	envelope := fmt.Sprintf(`{"kind":"domain","jobId":%q,"event":{"type":"t","occurredAt":"2026-01-01T00:00:00Z","pad":""}}`, jobID)
	if len(envelope) > sizeBytes {
		t.Fatalf("an envelope has at least %d bytes, want %d", len(envelope), sizeBytes)
	}
	return strings.Replace(envelope, `"pad":""`, `"pad":"`+strings.Repeat("x", sizeBytes-len(envelope))+`"`, 1)
}

// number returns the number that was given to event.
func number(t *testing.T, r messaging.Record) int {
	t.Helper()
	var body struct {
		Event struct{ N int } `json:"event"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatalf("decode record: %v", err)
	}
	return body.Event.N
}
