package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	tracedPublish  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tracedRequest  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	untracedWorker = "00-11111111111111111111111111111111-2222222222222222-00"
)

// The spans of an event are in the trace of its worker, from Redis or a request to the
// outgoing queues of its followers; the log and MongoDB keep the worker's trace context.
func TestTracesOfEvents(t *testing.T) {
	t.Parallel()
	receiver := testkit.StartOTLP(t)
	redisServer := testkit.StartRedis(t)
	g := startGateway(t, settings{
		"REDIS_URL": redisServer.URL(), "MONGODB_URI": startMongo(t), "NATS_SYNC": "10s", "LOG_LEVEL": "debug",
		"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.URL, "OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_BSP_SCHEDULE_DELAY": "100",
	})
	follower := openStream(t, g, "job", "")
	defer follower.close()
	for follower.lines.Text() != "event: "+messaging.EventCaughtUp { // from then on it is given live events
		if !follower.lines.Scan() {
			t.Fatalf("the stream ended: %v", follower.lines.Err())
		}
	}

	publish := func(traceParent, id string) {
		envelope := map[string]any{"kind": "domain", "jobId": "job", "id": id, "event": map[string]any{"type": "step", "occurredAt": "now"}}
		if traceParent != "" {
			envelope["traceparent"] = traceParent
		}
		body, err := json.Marshal(envelope)
		if err != nil {
			t.Fatal(err)
		}
		if err := redisServer.Client().Publish(t.Context(), messaging.EventsChannel, body).Err(); err != nil {
			t.Fatal(err)
		}
	}
	publish("", "1")
	publish(untracedWorker, "2")
	publish(tracedPublish, "3")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url("/api/realtime/events"),
		bytes.NewReader([]byte(`{"kind":"domain","jobId":"job","id":"4","event":{"type":"step","occurredAt":"now"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("traceparent", tracedRequest)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("published over HTTP: %s", response.Status)
	}

	for traceParent, arrives := range map[string]string{tracedPublish: "process novel.realtime.events", tracedRequest: "process /api/realtime/events"} {
		traceID, workerSpan := messaging.TraceIDs(traceParent)
		spans := receiver.Await(t, traceID, arrives, "validate", "send NOVEL_EVENTS", "project history", "deliver novel.domain-event")
		process := spans[arrives]
		for name, parent := range map[string]string{
			arrives: workerSpan, "validate": process.SpanID, "send NOVEL_EVENTS": process.SpanID,
			"project history": workerSpan, "deliver novel.domain-event": workerSpan, // which other gateways do, too
		} {
			if spans[name].ParentID != parent {
				t.Errorf("the parent of %q is %q, want %q", name, spans[name].ParentID, parent)
			}
		}
		if got := spans["deliver novel.domain-event"].Attributes["realtime.receivers"]; got != "1" {
			t.Errorf("delivered to %s, want 1", got)
		}
	}
	g.stop() // which exports the last spans
	for _, span := range receiver.Spans() {
		if id := span.Attributes["messaging.message.id"]; id == "1" || id == "2" {
			t.Errorf("the event %s of a worker that is not traced has the span %v", id, span)
		}
	}
}

// Without a setting of OpenTelemetry nothing is exported, and the log has no trace context.
func TestNoTracesByDefault(t *testing.T) {
	t.Parallel()
	g := startGateway(t, settings{"NATS_SYNC": "10s"})
	for _, line := range g.output.lines() {
		if strings.Contains(line, "traces are exported") {
			t.Errorf("the gateway says %s", line)
		}
	}
	response, err := http.Get(g.url("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page bytes.Buffer
	if _, err := page.ReadFrom(response.Body); err != nil || strings.Contains(page.String(), "realtime_tracing_") {
		t.Errorf("%v: there are metrics of traces", err)
	}
}
