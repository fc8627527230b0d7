package e2e_test

import (
	"errors"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

var errStillCounted = errors.New("sockets are still counted")

// refusal is what a client learns from connect_error.
type refusal struct {
	Message string
	Data    struct {
		Code           messaging.Code
		Limit, Current int
		RetryAfterMs   int
	}
}

func from(origin string) options {
	return options{"extraHeaders": map[string]string{"Origin": origin}}
}

// The texts and codes of a refused handshake are what deployed clients compare.
func TestRefusedHandshakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		env      settings
		origins  []string // of the clients that are let in first
		origin   string   // of the one that is refused
		code     messaging.Code
		message  string
		limit    int
		freeable bool // whether a client that leaves makes room
	}{
		{
			name:    "foreign origin",
			env:     settings{"SOCKET_CLIENT_ORIGIN": "http://book.example, http://other.example"},
			origins: []string{"http://book.example", "http://other.example"},
			origin:  "http://evil.example",
			code:    "ORIGIN_NOT_ALLOWED", message: "Origin not allowed",
		},
		{
			name:    "too many connections",
			env:     settings{"SOCKET_MAX_CONNECTIONS": "2", "SOCKET_CLIENT_ORIGIN": "*"},
			origins: []string{"http://a.example", "http://b.example"},
			origin:  "http://c.example",
			code:    "MAX_CONNECTIONS_EXCEEDED", message: "Too many realtime connections. Please retry shortly.",
			limit: 2, freeable: true,
		},
		{
			name:    "too many connections of one origin",
			env:     settings{"SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "2", "SOCKET_CLIENT_ORIGIN": "*"},
			origins: []string{"http://a.example", "http://a.example", "http://b.example"},
			origin:  "http://a.example",
			code:    "ORIGIN_CONNECTIONS_EXCEEDED", message: "Too many connections from this origin. Please retry later.",
			limit: 2, freeable: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nodes := startDriver(t)
			server := startGateway(t, test.env)
			var first *client
			for i, origin := range test.origins {
				c := nodes.connect(clientName(i), server.url("/"), from(origin))
				if first == nil {
					first = c
				}
			}
			refused := nodes.open("refused", server.url("/"), from(test.origin))
			var r refusal
			refused.await("connect_error", "connect").into(t, &r)
			if r.Message != test.message || r.Data.Code != test.code {
				t.Errorf("got %+v, want %s %q", r, test.code, test.message)
			}
			if r.Data.Limit != test.limit || r.Data.Current != test.limit {
				t.Errorf("got limit %d and current %d, want %d", r.Data.Limit, r.Data.Current, test.limit)
			}
			if (r.Data.RetryAfterMs > 0) != test.freeable {
				t.Errorf("got retryAfterMs %d", r.Data.RetryAfterMs)
			}
			if !test.freeable {
				return
			}
			first.do("disconnect")
			first.await("disconnect")
			// socket.io-client does not retry a refused handshake by itself.
			eventually(t, "the slot is free", func() error {
				nodes.send(command{Op: "reconnect", Client: "refused"})
				if e := refused.await("connect", "connect_error"); e.Name != "connect" {
					return errors.New(e.String())
				}
				return nil
			})
		})
	}
}

// A server-side client sends no Origin; whether it may is a setting.
func TestMissingOrigin(t *testing.T) {
	t.Parallel()
	nodes := startDriver(t)
	allowed := startGateway(t, nil)
	nodes.connect("allowed", allowed.url("/"))
	strict := startGateway(t, settings{"SOCKET_REQUIRE_ORIGIN": "true"})
	var r refusal
	nodes.open("refused", strict.url("/")).await("connect_error", "connect").into(t, &r)
	if r.Data.Code != messaging.CodeOriginNotAllowed || r.Message != "Origin not allowed" {
		t.Errorf("got %+v", r)
	}
}

func TestSubscriptionCap(t *testing.T) {
	t.Parallel()
	nodes := startDriver(t)
	server := startGateway(t, settings{"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT": "2"})
	c := nodes.connect("a", server.url("/"))
	for _, job := range []string{"one", "two", "one"} {
		if a := c.request("subscribe", map[string]any{"jobId": job}); !a.OK || a.JobID != job {
			t.Fatalf("subscribe to %s: %+v", job, a)
		}
	}
	for range 2 {
		c.subscribe("three", nil)
		problem(t, c, "SUBSCRIPTION_LIMIT_REACHED", "Subscription limit reached for this connection.")
	}
	a := c.request("subscribe", map[string]any{"jobId": "three"})
	if a.OK || a.Code != "SUBSCRIPTION_LIMIT_REACHED" || a.Message != "Subscription limit reached for this connection." {
		t.Errorf("the acknowledgement says %+v", a)
	}
	// The socket stays, and a job that is left makes room.
	if a := c.request("unsubscribe", map[string]any{"jobId": "one"}); !a.OK {
		t.Errorf("unsubscribe: %+v", a)
	}
	if a := c.request("subscribe", map[string]any{"jobId": "three"}); !a.OK {
		t.Errorf("subscribe after leaving another job: %+v", a)
	}
}

func TestMissingJobID(t *testing.T) {
	t.Parallel()
	nodes := startDriver(t)
	server := startGateway(t, nil)
	c := nodes.connect("a", server.url("/"))
	for _, args := range [][]any{{}, {nil}, {"job"}, {map[string]any{}}, {map[string]any{"jobId": ""}}, {map[string]any{"jobId": " \t"}}} {
		nodes.send(command{Op: "emit", Client: "a", Event: "subscribe", Args: args})
		problem(t, c, "JOB_ID_REQUIRED", "jobId is required to subscribe.")
		nodes.send(command{Op: "emit", Client: "a", Event: "unsubscribe", Args: args})
		problem(t, c, "JOB_ID_REQUIRED", "jobId is required to unsubscribe.")
	}
	nodes.send(command{Op: "emit", Client: "a", Event: "subscribe", Args: []any{map[string]any{"jobId": 7}}})
	problem(t, c, "JOB_ID_INVALID", "jobId must be a string.")
	c.do("ping")
	c.await(messaging.EventPong)
}

// A socket that asks for nothing is told so and disconnected by the server,
// which the client takes as final. What keeps a socket, and for how long, a test of
// fanout has, on a clock of its own.
func TestIdleEviction(t *testing.T) {
	t.Parallel()
	nodes := startDriver(t)
	server := startGateway(t, settings{"SOCKET_IDLE_TIMEOUT_MS": "1500"})
	silent := nodes.connect("silent", server.url("/"))
	problem(t, silent, "IDLE_TIMEOUT", "Disconnected due to inactivity.")
	var reason string
	silent.await("disconnect", "connect").into(t, &reason)
	if reason != "io server disconnect" {
		t.Errorf("the reason is %q", reason)
	}
	if e, found := silent.within(500 * time.Millisecond); found {
		t.Errorf("after its eviction the client got %s", e)
	}
}

// problem expects a novel.error.
func problem(t *testing.T, c *client, code messaging.Code, message string) {
	t.Helper()
	isProblem(t, c.await(messaging.EventError), code, message)
}

func isProblem(t *testing.T, e event, code messaging.Code, message string) {
	t.Helper()
	var p messaging.Problem
	e.into(t, &p)
	if e.Name != messaging.EventError || p.Code != code || p.Message != message {
		t.Errorf("got %s, want %s %q", e, code, message)
	}
}
