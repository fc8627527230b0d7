package gateway_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// A message that is far too large is answered with its code at once, whatever it is for,
// and the socket goes on.
func TestHugeMessagesAreAnswered(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	s := setup(t, options{
		limits:  guardrails.Limits{MaxMessageBytes: most},
		sockets: func(cfg *socketio.Config) { cfg.MaxEventBytes = most },
	})
	huge := strings.Repeat("x", 900_000)
	c := s.connect()
	for _, send := range []func(){
		func() { c.emit("subscribe", map[string]any{"jobId": "j", "since": 1, "epoch": huge}) },
		func() { c.emit("subscribe", request{JobID: huge}) },
		func() { c.emit(huge) },
		func() { c.emit("of-ours", huge) },
	} {
		send()
		m := expect(t, c, messaging.EventError)
		if m.Code != messaging.CodeMessageTooLarge || m.Limit == nil || *m.Limit != most || *m.Current < len(huge) {
			t.Errorf("error %s", m.Raw)
		}
		c.emit("ping")
		expect(t, c, messaging.EventPong)
	}
	if answer := c.ask("of-ours", huge); !strings.Contains(answer, string(messaging.CodeMessageTooLarge)) {
		t.Errorf("acknowledged with %s", answer)
	}
	_, refusal := s.connectWith(map[string]string{"token": huge}, nil)
	if refusal == nil || refusal.Data.Code != messaging.CodeMessageTooLarge {
		t.Errorf("a CONNECT of 900,000 bytes: %v", refusal)
	}
}

// A client that sends more than it may waits, and nobody else does. In a dry run that is counted, and nobody waits.
func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	for _, dry := range []bool{false, true} {
		s := setup(t, options{
			limits:  guardrails.Limits{BytesPerSecond: 1, ByteBurst: 20_000, DryRun: dry},
			proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		})
		from := func(address string) *socketClient {
			c, refusal := s.connectWith(nil, http.Header{"X-Forwarded-For": {address}})
			if refusal != nil {
				t.Fatal(refusal)
			}
			return c
		}
		first := from("192.0.2.1")
		first.emit("of-ours", strings.Repeat("x", 30_000)) // the rest of it takes hours
		first.emit("ping")
		if dry {
			expect(t, first, messaging.EventPong)
		}
		throttled := func() bool {
			return testutil.ToFloat64(s.gateway.Throttled(dry)) > 0
		}
		for deadline := time.Now().Add(patience); !throttled(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is counted")
			}
		}
		other := from("192.0.2.2")
		other.emit("ping")
		expect(t, other, messaging.EventPong)
	}
}

// What one connection has used up is the next one's from the same address.
func TestReconnectingDoesNotRenewTheIntake(t *testing.T) {
	t.Parallel()
	s := setup(t, options{limits: guardrails.Limits{BytesPerSecond: 1, ByteBurst: 1000}})
	from := func(address string) *http.Request { return &http.Request{RemoteAddr: address} }
	first := s.gateway.NewIntake(from("192.0.2.1:1000"))
	if wait := first.Spend(1000); wait > 0 {
		t.Fatalf("a wait of %s within the burst", wait)
	}
	first.End()
	if wait := s.gateway.NewIntake(from("192.0.2.2:1000")).Spend(500); wait > 0 {
		t.Errorf("another client waits %s", wait)
	}
	if wait := s.gateway.NewIntake(from("192.0.2.1:2000")).Spend(500); wait < time.Minute {
		t.Errorf("the next connection of the client waits %s", wait)
	}
}

// All addresses of an IPv6 /64, which one customer is given, share what they have used up.
func TestIntakeOfAnIPv6Prefix(t *testing.T) {
	t.Parallel()
	s := setup(t, options{limits: guardrails.Limits{BytesPerSecond: 1, ByteBurst: 1000}})
	from := func(address string) *http.Request { return &http.Request{RemoteAddr: address} }
	first := s.gateway.NewIntake(from("[2001:db8::1]:1000"))
	first.Spend(1000)
	first.End()
	if wait := s.gateway.NewIntake(from("[2001:db8:0:1::1]:1000")).Spend(500); wait > 0 {
		t.Errorf("another prefix waits %s", wait)
	}
	if wait := s.gateway.NewIntake(from("[2001:db8::2]:2000")).Spend(500); wait < time.Minute {
		t.Errorf("another address of the prefix waits %s", wait)
	}
}

// A rate that a reload has lowered counts for a client whose connection began before the
// reload, and who connects again after it.
func TestLowerRateAppliesToReconnectingClients(t *testing.T) {
	t.Parallel()
	limits := guardrails.Limits{MaxSubscriptionsPerClient: 1, BytesPerSecond: 1_000_000}
	s := setup(t, options{limits: limits})
	request := &http.Request{RemoteAddr: "192.0.2.1:1000"}
	first := s.gateway.NewIntake(request)
	limits.BytesPerSecond = 1
	if err := s.gateway.SetLimits(limits); err != nil {
		t.Fatal(err)
	}
	first.Spend(1_000_000) // as much as a second gives, so that there is something to carry over
	first.End()
	if wait := s.gateway.NewIntake(request).Spend(600); wait < time.Minute {
		t.Errorf("600 bytes at one a second take %s", wait)
	}
}
