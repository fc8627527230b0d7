package gateway_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// TestOffsetsGoToClientsThatWantThem: handlers in languages without optional arguments are
// given one argument, and stock clients in JavaScript what they recover with.
func TestOffsetsGoToClientsThatWantThem(t *testing.T) {
	t.Parallel()
	browser := http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) Chrome/140"}, "Accept-Language": {"de"}}
	for _, test := range []struct {
		name    string
		clients gateway.RecoveryClients
		header  http.Header
		query   string
		auth    any
		want    bool
	}{
		{name: "a browser", header: browser, want: true},
		{name: "polling on Node", header: http.Header{"User-Agent": {"node-XMLHttpRequest"}}, want: true},
		{name: "React Native", header: http.Header{"User-Agent": {"okhttp/4.12.0"}, "Origin": {"http://gateway.test"}}, want: true},
		{name: "Java", header: http.Header{"User-Agent": {"okhttp/4.12.0"}}},
		{name: "Go", header: http.Header{"User-Agent": {"Go-http-client/1.1"}}},
		{name: "websocket-client in Python", header: http.Header{"User-Agent": {""}, "Origin": {"http://gateway.test"}}},
		{name: "asked for in auth", header: http.Header{}, auth: map[string]any{"recovery": true}, want: true},
		{name: "declined in auth", header: browser, auth: map[string]any{"recovery": false}},
		{name: "asked for in the query", query: "true", want: true},
		{name: "declined in the query", header: browser, query: "false"},
		{name: "asked for in a header", header: http.Header{"X-Realtime-Recovery": {"1"}}, want: true},
		{name: "with an earlier session", auth: map[string]any{"pid": "0123456789012345678901"}, want: true},
		{name: "all", clients: gateway.RecoveryAll, want: true},
		{name: "all, declined", clients: gateway.RecoveryAll, query: "0"},
		{name: "a browser where it has to be asked for", clients: gateway.RecoveryAsked, header: browser},
		{name: "asked for where it has to be", clients: gateway.RecoveryAsked, query: "true", want: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{sessions: newMemorySessions(), recovery: test.clients})
			s.log.publish("job", 2)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", Header: test.header, NetDial: s.dial, Query: "recovery=" + test.query, Queue: 1024})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Kill)
			connected, err := conn.Connect(ctx, test.auth)
			if err != nil || (connected.PID != "") != test.want {
				t.Fatalf("pid %q, %v", connected.PID, err)
			}
			if err := conn.Emit("subscribe", request{JobID: "job"}); err != nil {
				t.Fatal(err)
			}
			for name := ""; name != messaging.EventCaughtUp; {
				event, err := conn.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if name = event.Name; len(argsOf(t, event)) > 1 != test.want && name != messaging.EventSubscribed {
					t.Errorf("%s has %d arguments", name, len(argsOf(t, event)))
				}
			}
		})
	}
}

// TestDeclinedWithAnEarlierSession: a client that declines is given no offset, also
// where it names a session that could be recovered.
func TestDeclinedWithAnEarlierSession(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, query string
		auth        map[string]any
	}{
		{name: "in auth", auth: map[string]any{"recovery": false}},
		{name: "in the query", query: "false", auth: map[string]any{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{sessions: newMemorySessions()})
			s.log.publish("job", 2)
			earlier := newRecoverer(t)
			earlier.connect(s)
			earlier.subscribe("job")
			earlier.until(s.log, messaging.EventCaughtUp, "job")
			earlier.socket.Kill()

			test.auth["pid"], test.auth["offset"], test.auth["token"] = earlier.pid, earlier.offset, "mine"
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", NetDial: s.dial, Query: "recovery=" + test.query, Queue: 1024})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Kill)
			connected, err := conn.Connect(ctx, test.auth)
			if err != nil || connected.PID != "" {
				t.Fatalf("pid %q, %v", connected.PID, err)
			}
			if err := conn.Emit("subscribe", request{JobID: "job"}); err != nil {
				t.Fatal(err)
			}
			events := 0
			for name := ""; name != messaging.EventCaughtUp; {
				event, err := conn.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if name = event.Name; name == "novel.domain-event" {
					events++
				}
				if len(argsOf(t, event)) > 1 {
					t.Errorf("%s has %d arguments", name, len(argsOf(t, event)))
				}
			}
			if events != 2 {
				t.Errorf("%d events, want 2", events)
			}
		})
	}
}
