package fanout_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits guardrails.Limits
		send   func(c *socketClient)
		want   messaging.Code
		answer string
	}{
		{
			"messages",
			guardrails.Limits{MessagesPerSecond: 1, MessageBurst: 2},
			func(c *socketClient) { c.emit("ping") }, messaging.CodeMessageRateExceeded, messaging.EventPong,
		},
		{
			"subscribing and unsubscribing",
			guardrails.Limits{SubscriptionChangesPerMinute: 2},
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
				for range 2 {
					test.send(c)
					expect(t, c, test.answer)
				}
				test.send(c)
				if dry {
					expect(t, c, test.answer)
					return
				}
				m := expect(t, c, messaging.EventError)
				if m.Code != test.want || m.Limit == nil || *m.Limit != 2 || m.RetryAfterMs == nil {
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
		if refusal == nil || !strings.Contains(string(refusal.Data), string(messaging.CodeAddressConnectionsExceeded)) {
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
