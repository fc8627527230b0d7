package gateway_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// arrival is a connection that may name a session.
type arrival struct{ address, origin, token, pid string }

// arrive connects. It returns the refusal if there is one.
func (s *stage) arrive(a arrival) (*socketClient, socket.Session, *socket.Refused) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	header := http.Header{"Origin": {a.origin}, "X-Forwarded-For": {a.address}}
	conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", Header: header, NetDial: s.dial, Queue: 1024})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Kill)
	auth := map[string]any{"recovery": true, "token": a.token}
	if a.pid != "" {
		auth["pid"] = a.pid
	}
	session, err := conn.Connect(ctx, auth)
	var refusal *socket.Refused
	if err != nil && !errors.As(err, &refusal) {
		s.t.Fatal(err)
	}
	return &socketClient{t: s.t, Socket: conn}, session, refusal
}

// A connection that names the session of a connected client, and is refused for
// whatever reason, leaves that client its socket, its subscriptions and its session.
func TestRefusedNewcomerLeavesTheEarlierSocket(t *testing.T) {
	t.Parallel()
	owner := arrival{address: "192.0.2.1", origin: "https://a.example", token: "ann"}
	tests := []struct {
		name      string
		limits    guardrails.Limits
		neighbour string          // an address that another client is connected from
		others    messaging.Share // what other gateways hold once the owner is connected
		newcomer  arrival         // the fields that are not the owner's
		want      messaging.Code  // empty: the newcomer gets a session of its own
		fake      bool            // runs in a bubble of fake time
	}{
		{name: "another subject", newcomer: arrival{token: "bob"}},
		{name: "another origin", newcomer: arrival{origin: "https://b.example"}},
		{name: "origin that is not allowed", newcomer: arrival{origin: "https://evil.example"}, want: messaging.CodeOriginNotAllowed},
		{name: "unknown token", newcomer: arrival{token: "eve"}, want: messaging.CodeTokenInvalid},
		{
			name: "connections of the address", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, neighbour: "192.0.2.2",
			newcomer: arrival{address: "192.0.2.2"}, want: messaging.CodeAddressConnectionsExceeded,
		},
		{
			name: "connections of the cluster", limits: guardrails.Limits{MaxClusterConnections: 2},
			others: messaging.Share{Total: 2}, want: messaging.CodeMaxConnectionsExceeded,
		},
		{
			name: "connections of the origin in the cluster", limits: guardrails.Limits{MaxClusterConnectionsPerOrigin: 2},
			others: messaging.Share{Total: 2, PerOrigin: map[string]int{owner.origin: 2}}, want: messaging.CodeOriginConnectionsExceeded,
		},
		{name: "rate of connections", limits: guardrails.Limits{ConnectionsPerSecond: 1}, want: messaging.CodeConnectionRateExceeded, fake: true},
	}
	for _, test := range tests {
		run := func(t *testing.T) {
			s := setup(t, options{
				sessions: newMemorySessions(), tokens: bookOf(t, time.Now().Add(time.Hour)), limits: test.limits, pipe: test.fake,
				origins: "https://a.example, https://b.example", proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			})
			first, session, refusal := s.arrive(owner)
			if refusal != nil {
				t.Fatal(refusal)
			}
			first.subscribe("a/1")
			expect(t, first, messaging.EventCaughtUp)
			connections := 1
			if test.neighbour != "" {
				if _, _, refusal := s.arrive(arrival{address: test.neighbour, origin: owner.origin, token: "bob"}); refusal != nil {
					t.Fatal(refusal)
				}
				connections++
			}
			s.gateway.Others(test.others)
			if test.fake {
				time.Sleep(time.Millisecond) // the newcomer's connection is the later one
			}
			second, other, refusal := s.arrive(arrival{
				address: cmp.Or(test.newcomer.address, owner.address), origin: cmp.Or(test.newcomer.origin, owner.origin),
				token: cmp.Or(test.newcomer.token, owner.token), pid: session.PID,
			})
			switch {
			case test.want != "" && (refusal == nil || refusal.Data.Code != test.want):
				t.Fatalf("refusal %+v, want %s", refusal, test.want)
			case test.want == "" && (refusal != nil || other.PID == session.PID):
				t.Fatalf("refusal %+v, session %q, want one of its own", refusal, other.PID)
			}
			second.Kill()
			s.log.publish("a/1", 1)
			expectEvents(t, first, s.log.newest("a/1"))
			wait(t, "the newcomer to be gone", func() bool { return s.snapshot().TotalConnections == connections })
			if n := s.snapshot().SubscribersPerJob["a/1"]; n != 1 {
				t.Errorf("%d subscriptions", n)
			}

			s.gateway.Others(messaging.Share{})
			if test.fake {
				time.Sleep(time.Second) // for the rate
			}
			if _, again, refusal := s.arrive(arrival{owner.address, owner.origin, owner.token, session.PID}); refusal != nil || again.PID != session.PID {
				t.Errorf("the owner is refused with %+v, or not recovered", refusal)
			}
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.fake {
				synctest.Test(t, run)
				return
			}
			run(t)
		})
	}
}

// A gateway that drains refuses connections before they can name a session.
func TestDrainingLeavesTheEarlierSocket(t *testing.T) {
	t.Parallel()
	var draining atomic.Bool
	s := setup(t, options{sessions: newMemorySessions(), sockets: func(c *socketio.Config) { c.Draining = draining.Load }})
	first := newRecoverer(t)
	first.connect(s)
	first.subscribe("job")
	first.until(s.log, messaging.EventCaughtUp, "job")
	draining.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", Queue: 1024}); err == nil {
		conn.Kill()
		t.Fatal("a connection was opened")
	}
	first.upTo(s.log, "job", s.log.publish("job", 1))
}

// A client goes on in place of its earlier socket where a limit has no room for both:
// it takes that socket's place.
func TestNewcomerTakesThePlaceOfTheEarlierSocket(t *testing.T) {
	t.Parallel()
	tests := map[string]guardrails.Limits{
		"gateway":           {MaxConnections: 1},
		"origin":            {MaxConnectionsPerOrigin: 1},
		"address":           {MaxConnectionsPerAddress: 1},
		"subject":           {MaxConnectionsPerSubject: 1},
		"cluster":           {MaxClusterConnections: 1},
		"origin in cluster": {MaxClusterConnectionsPerOrigin: 1},
	}
	for name, limits := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{sessions: newMemorySessions(), tokens: bookOf(t, time.Now().Add(time.Hour)), limits: limits})
			who := arrival{address: "192.0.2.1", origin: "https://a.example", token: "ann"}
			first, session, refusal := s.arrive(who)
			if refusal != nil {
				t.Fatal(refusal)
			}
			first.subscribe("a/1")
			expect(t, first, messaging.EventCaughtUp)
			who.pid = session.PID
			second, again, refusal := s.arrive(who)
			if refusal != nil || again.PID != session.PID {
				t.Fatalf("refusal %+v, session %q, want %q", refusal, again.PID, session.PID)
			}
			<-first.Ended()
			expect(t, second, messaging.EventCaughtUp)
			s.log.publish("a/1", 1)
			expectEvents(t, second, s.log.newest("a/1"))
			wait(t, "one connection and one subscription", func() bool { // the first may be counted a moment longer
				now := s.snapshot()
				return now.TotalConnections == 1 && now.SubscribersPerJob["a/1"] == 1
			})
			second.Kill()
			wait(t, "the place to be free", func() bool { return s.snapshot().TotalConnections == 0 })
		})
	}
}
