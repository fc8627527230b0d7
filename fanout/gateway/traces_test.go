package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// TestTracesGoToClientsThatAsk: a client that does not ask receives the same bytes whether
// events have trace contexts or not, as history and live, with and without offsets.
func TestTracesGoToClientsThatAsk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		query string
		auth  any
		want  bool
	}{
		{name: "stock", auth: map[string]any{}},
		{name: "stock with offsets", auth: map[string]any{"recovery": true}},
		{name: "asked for in auth", auth: map[string]any{"traces": true}, want: true},
		{name: "with offsets", auth: map[string]any{"traces": true, "recovery": true}, want: true},
		{name: "asked for in the query", query: "true", want: true},
		{name: "declined in auth", query: "true", auth: map[string]any{"traces": false}},
		{name: "something else in auth", auth: map[string]any{"traces": "no"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{sessions: newMemorySessions()})
			receive := func(traceParent string) []string {
				job := "job" + traceParent[:min(len(traceParent), 2)]
				traced := record(job, 0)
				traced.TraceParent = traceParent
				s.log.append(traced)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", NetDial: s.dial, Query: "traces=" + test.query, Queue: 1024})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(conn.Kill)
				if _, err := conn.Connect(ctx, test.auth); err != nil {
					t.Fatal(err)
				}
				if err := conn.Emit("subscribe", request{JobID: job}); err != nil {
					t.Fatal(err)
				}
				var payloads []string
				for len(payloads) < 2 {
					event, err := conn.Next(ctx)
					if err != nil {
						t.Fatal(err)
					}
					switch event.Name {
					case "novel.domain-event":
						payloads = append(payloads, string(argsOf(t, event)[0]))
					case messaging.EventCaughtUp:
						s.log.append(traced)
					}
				}
				return payloads
			}
			without, with := receive(""), receive(traceParent)
			for i := range with {
				var event struct {
					TraceParent *string
					Sequence    uint64
				}
				if err := json.Unmarshal([]byte(with[i]), &event); err != nil || event.Sequence == 0 {
					t.Fatalf("%s: %v", with[i], err)
				}
				if got := event.TraceParent != nil && *event.TraceParent == traceParent; got != test.want || strings.Contains(with[i], "traceparent") != test.want {
					t.Errorf("with a trace context: %s, want it: %v", with[i], test.want)
				}
				if strings.Contains(without[i], "traceparent") {
					t.Errorf("without a trace context: %s", without[i])
				}
			}
		})
	}
}

func TestTracesOfStreams(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	traced := record("job", 0)
	traced.TraceParent = traceParent
	s.log.append(traced)
	for query, want := range map[string]bool{"": false, "?traces=true": true, "?traces=0": false} {
		inner := s.in(t)
		inner.client = &http.Client{Transport: addQuery{query, s.client.Transport}}
		c := inner.stream("job", "")
		if m := c.next(); strings.Contains(string(m.Raw), `"traceparent":"`+traceParent+`"}`) != want {
			t.Errorf("%q: %s", query, m.Raw)
		}
		c.close()
	}
}

// delivery is what a tracer was told of an event.
type delivery struct {
	traceParent string
	sequence    uint64
	receivers   int
}

// deliveries is a tracer that keeps what it is told.
type deliveries chan delivery

func (d deliveries) Delivered(traceParent, _, _ string, sequence uint64, receivers int, began, ended time.Time) {
	if !began.IsZero() && !ended.Before(began) {
		d <- delivery{traceParent, sequence, receivers}
	}
}

// TestDeliveryIsTracedOnce: with the number of clients that are live, however many these are.
func TestDeliveryIsTracedOnce(t *testing.T) {
	t.Parallel()
	traced := make(deliveries, 16)
	s := setup(t, options{tracer: traced})
	s.log.publish("job", 1)
	const receivers = 3
	for range receivers {
		c := s.stream("job", "")
		expectEvents(t, c, 1)
		expect(t, c, messaging.EventCaughtUp)
	}
	s.log.publish("job", 1) // without a trace context
	event := record("job", 0)
	event.TraceParent = traceParent
	s.log.append(event)
	if got, want := <-traced, (delivery{traceParent, 3, receivers}); got != want {
		t.Errorf("delivered %+v, want %+v", got, want)
	}
}
