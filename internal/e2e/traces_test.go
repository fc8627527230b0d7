package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
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

// By default, clients that do not ask for traces receive an event with a trace context byte
// for byte as they did before the gateway had traces: over sockets, event streams and pages,
// live and from the log.
func TestSameBytesWithTraceContexts(t *testing.T) {
	t.Parallel()
	redisServer := testkit.StartRedis(t)
	g := startGateway(t, settings{"REDIS_URL": redisServer.URL(), "NATS_SYNC": "10s"})
	sequences := regexp.MustCompile(`"sequence":(\d+)`)
	// want is the payload of an event by its id.
	want := func(id, sequence string) string {
		return fmt.Sprintf(`{"jobId":"job","emittedAt":"2026-01-02T03:04:05.000Z","event":{"type":"step","occurredAt":"now"},"sequence":%s,"id":%q}`, sequence, id)
	}
	publish := func(id string) {
		body := fmt.Sprintf(`{"kind":"domain","jobId":"job","id":%q,"emittedAt":"2026-01-02T03:04:05.000Z","traceparent":%q,"event":{"type":"step","occurredAt":"now"}}`, id, tracedPublish)
		if err := redisServer.Client().Publish(t.Context(), messaging.EventsChannel, body).Err(); err != nil {
			t.Fatal(err)
		}
	}
	same := func(client, got, before, id, after string) {
		found := sequences.FindStringSubmatch(got)
		if found == nil || got != before+want(id, found[1])+after {
			t.Errorf("%s received %s", client, got)
		}
	}

	conn := dialTransport(t, g)
	hear(t, conn) // the handshake
	say(t, conn, "40")
	say(t, conn, `42["subscribe",{"jobId":"job"}]`)
	await := func(prefix string) string {
		for {
			if packet := hear(t, conn); strings.HasPrefix(packet, prefix) {
				return packet
			}
		}
	}
	await(`42["novel.caught-up"`)
	publish("1")
	same("a socket, live", await(`42["novel.domain-event"`), `42["novel.domain-event",`, "1", "]")
	say(t, conn, `42["unsubscribe",{"jobId":"job"}]`)
	say(t, conn, `42["subscribe",{"jobId":"job"}]`)
	same("a socket, again", await(`42["novel.domain-event"`), `42["novel.domain-event",`, "1", "]")

	follower := openStream(t, g, "job", "")
	defer follower.close()
	data := func() string {
		for event := ""; follower.lines.Scan(); {
			field, value, _ := strings.Cut(follower.lines.Text(), ": ")
			switch {
			case field == "event":
				event = value
			case field == "data" && event == "novel.domain-event":
				return value
			}
		}
		t.Fatalf("the stream ended: %v", follower.lines.Err())
		return ""
	}
	same("a stream, from the beginning", data(), "", "1", "")
	publish("2")
	same("a stream, next", data(), "", "2", "")
	page := g.get("/api/novel/job/events")
	found := sequences.FindAllStringSubmatch(page, 2) // the newest event is the first
	if len(found) != 2 || !strings.HasPrefix(page, `{"items":[{"kind":"domain",`+want("2", found[0][1])[1:]+`,{"kind":"domain",`+want("1", found[1][1])[1:]+`],`) {
		t.Errorf("the page is %s", page)
	}
}
