package gateway_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits guardrails.Limits
		most   int // at once
		send   func(c *socketClient)
		want   messaging.Code
		answer string
	}{
		{
			"messages",
			guardrails.Limits{MessagesPerSecond: 1},
			1,
			func(c *socketClient) { c.emit("ping") }, messaging.CodeMessageRateExceeded, messaging.EventPong,
		},
		{
			"subscribing and unsubscribing",
			guardrails.Limits{SubscriptionChangesPerMinute: 2},
			2,
			func(c *socketClient) { c.emit("unsubscribe", request{JobID: "a"}) }, messaging.CodeSubscriptionRateExceeded, messaging.EventUnsubscribed,
		},
	}
	for _, test := range tests {
		for _, dry := range []bool{false, true} {
			name := test.name
			if dry {
				name += ", dry run"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				opts := options{limits: test.limits}
				opts.limits.MaxSubscriptionsPerClient, opts.limits.DryRun = 20, dry
				s := setup(t, opts)
				c := s.connect()
				for range test.most {
					test.send(c)
					expect(t, c, test.answer)
				}
				test.send(c)
				if dry {
					expect(t, c, test.answer)
					return
				}
				m := expect(t, c, messaging.EventError)
				if m.Code != test.want || m.Limit == nil || *m.Limit != test.most || m.RetryAfterMs == nil {
					t.Errorf("error %s", m.Raw)
				}
			})
		}
	}
}

// TestSizesAreBounded: a message of the largest size passes, a byte more is
// answered with its code, and the socket stays.
func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	send := func(c *socketClient, jobID string) { c.emit("unsubscribe", request{JobID: jobID}) }
	largest := len("unsubscribe") + len(`{"jobId":"ab"}`)
	for _, dry := range []bool{false, true} {
		s := setup(t, options{limits: guardrails.Limits{MaxMessageBytes: largest, MaxSubscriptionsPerClient: 20, DryRun: dry}})
		c := s.connect()
		for _, jobID := range []string{"a", "ab"} {
			send(c, jobID)
			expect(t, c, messaging.EventUnsubscribed)
		}
		send(c, "abc")
		if dry {
			expect(t, c, messaging.EventUnsubscribed)
			continue
		}
		m := expect(t, c, messaging.EventError)
		if m.Code != messaging.CodeMessageTooLarge || m.Limit == nil || *m.Limit != largest || *m.Current != largest+1 {
			t.Errorf("error %s", m.Raw)
		}
		send(c, "a")
		expect(t, c, messaging.EventUnsubscribed)
	}
}

// TestAddressIsTheClientsOwn: behind a trusted proxy, what the proxy says counts;
// from anybody else it is not believed.
func TestAddressIsTheClientsOwn(t *testing.T) {
	t.Parallel()
	from := func(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }
	limits := guardrails.Limits{MaxConnectionsPerAddress: 1, MaxSubscriptionsPerClient: 1}
	t.Run("trusted", func(t *testing.T) {
		t.Parallel()
		s := setup(t, options{limits: limits, proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			if _, refusal := s.connectWith(nil, from(address)); refusal != nil {
				t.Fatalf("%s: %v", address, refusal)
			}
		}
		_, refusal := s.connectWith(nil, from("192.0.2.1"))
		if refusal == nil || refusal.Data.Code != messaging.CodeAddressConnectionsExceeded {
			t.Errorf("refusal %+v", refusal)
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		t.Parallel()
		s := setup(t, options{limits: limits})
		if _, refusal := s.connectWith(nil, from("192.0.2.1")); refusal != nil {
			t.Fatal(refusal)
		}
		if _, refusal := s.connectWith(nil, from("192.0.2.2")); refusal == nil {
			t.Error("a header made one client two")
		}
	})
}

// Rates do not begin again with another socket on the connection, nor with another
// connection of the same client.
func TestRatesOutliveTheSocket(t *testing.T) {
	t.Parallel()
	const perSecond, rounds, each = 1, 20, 10
	s := setup(t, options{
		limits:  guardrails.Limits{MaxSubscriptionsPerClient: 20, MessagesPerSecond: perSecond},
		proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	flood := func(header http.Header) (answered int) {
		c, _ := s.connectWith(nil, header)
		for range rounds {
			for range each {
				c.emit("ping")
			}
			for range each {
				if c.next().Name == messaging.EventPong {
					answered++
				}
			}
			if err := c.Send("41"); err != nil { // leaves the namespace, and joins again
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := c.Connect(ctx, nil)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
		c.Kill()
		return answered
	}
	started := time.Now()
	one := flood(http.Header{"X-Forwarded-For": {"192.0.2.1"}})
	wait(t, "the connection to be gone", func() bool { return s.snapshot().TotalConnections == 0 })
	wait(t, "the same client to be slow at once", func() bool {
		again, _ := s.connectWith(nil, http.Header{"X-Forwarded-For": {"192.0.2.1"}})
		defer again.Kill()
		again.emit("ping")
		return again.next().Name == messaging.EventError
	})
	most := perSecond * (int(time.Since(started).Seconds()) + 2)
	t.Logf("%d of %d messages taken, the rate allows %d", one, rounds*each, most)
	if one > most {
		t.Errorf("%d of %d messages were taken, the rate allows %d", one, rounds*each, most)
	}
	other, _ := s.connectWith(nil, http.Header{"X-Forwarded-For": {"192.0.2.2"}})
	other.emit("ping")
	expect(t, other, messaging.EventPong)
}

// A message beyond the limit is refused before it is parsed.
func TestMessageIsRefusedUnread(t *testing.T) {
	t.Parallel()
	s := setup(t, options{
		limits:  guardrails.Limits{MaxSubscriptionsPerClient: 20, MaxMessageBytes: 1000},
		sockets: func(c *socketio.Config) { c.MaxEventBytes = 1000 },
	})
	c := s.connect()
	if err := c.Send(`42["subscribe",` + strings.Repeat("no JSON ", 200)); err != nil {
		t.Fatal(err)
	}
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeMessageTooLarge {
		t.Errorf("error %s", m.Raw)
	}
	c.emit("ping")
	expect(t, c, messaging.EventPong)
	if err := c.Send(`42["ping"` + strings.Repeat(",0", 300) + "]"); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of a connection with hundreds of arguments", c.Ended())
}
