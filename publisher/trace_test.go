package publisher_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

// TestTraceContextOfTheCaller: what is published is in the trace of the caller, if there is
// one, and the same event of another trace is the same event.
func TestTraceContextOfTheCaller(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	listener := server.Client().Subscribe(t.Context(), messaging.EventsChannel)
	t.Cleanup(func() { _ = listener.Close() })
	if _, err := listener.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := publisher.DefaultConfig()
	cfg.DrainTimeout = 0 // nothing confirms the events
	p, err := publisher.New(redis.NewClient(&redis.Options{Addr: server.Addr}), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	within := func(number byte) context.Context {
		return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{15: number}, SpanID: trace.SpanID{7: 9}, TraceFlags: trace.FlagsSampled,
		}))
	}
	const first, own = "00-00000000000000000000000000000001-0000000000000009-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var pending []*publisher.Pending
	for _, event := range []struct {
		ctx     context.Context
		id, own string
	}{{within(1), "traced", ""}, {within(2), "traced", ""}, {t.Context(), "untraced", ""}, {within(1), "own", own}} {
		envelope, err := messaging.NewDomain("job-"+event.id, map[string]any{"type": "step", "occurredAt": "now"})
		if err != nil {
			t.Fatal(err)
		}
		envelope.ID, envelope.TraceParent = event.id, event.own
		accepted, err := p.Publish(event.ctx, envelope)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, accepted)
	}
	if pending[0] != pending[1] {
		t.Error("the same event of another trace was accepted a second time")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }() // ends with ctx
	want := map[string]string{"traced": first, "untraced": "", "own": own}
	for len(want) > 0 {
		message, err := listener.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var sent struct{ ID, TraceParent string }
		if err := json.Unmarshal([]byte(message.Payload), &sent); err != nil {
			t.Fatal(err)
		}
		expected, first := want[sent.ID]
		if first && sent.TraceParent != expected {
			t.Errorf("%s was sent with the trace context %q, want %q", sent.ID, sent.TraceParent, expected)
		}
		delete(want, sent.ID)
	}
	cancel()
	<-ended
}
