package guardrails_test

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestSubscribeAllowsExactlyTheLimit(t *testing.T) {
	t.Parallel()
	limits := guardrails.Limits{MaxSubscriptionsPerClient: 2}
	for current, want := range []messaging.Code{"", "", messaging.CodeSubscriptionLimitReached, messaging.CodeSubscriptionLimitReached} {
		if got := limits.Subscribe(current).Code; got != want {
			t.Errorf("with %d subscriptions: code %q, want %q", current, got, want)
		}
	}
}

func TestBoundsOfAClient(t *testing.T) {
	t.Parallel()
	limits := guardrails.Limits{
		MaxSubscriptionsPerClient: 3,
		IdleTimeout:               time.Second,

		MaxMessageBytes: 100,
	}
	const huge = int(^uint(0) >> 1)
	tests := []struct {
		name string
		ask  func(guardrails.Limits) guardrails.Decision
		want guardrails.Decision
	}{
		{name: "a message of the largest size", ask: func(l guardrails.Limits) guardrails.Decision { return l.Message(100) }},
		{"a larger message", func(l guardrails.Limits) guardrails.Decision { return l.Message(101) }, guardrails.Decision{Code: messaging.CodeMessageTooLarge, Limit: 100, Current: 101}},
		{name: "one subscription more", ask: func(l guardrails.Limits) guardrails.Decision { return l.Subscribe(2) }},
		{"subscriptions", func(l guardrails.Limits) guardrails.Decision { return l.Subscribe(3) }, guardrails.Decision{Code: messaging.CodeSubscriptionLimitReached, Limit: 3, Current: 3}},
		{name: "silent, but not for long", ask: func(l guardrails.Limits) guardrails.Decision { return l.Evict(start.Add(time.Second-1), start) }},
		{"silent for long", func(l guardrails.Limits) guardrails.Decision { return l.Evict(start.Add(time.Second), start) }, guardrails.Decision{Code: messaging.CodeIdleTimeout}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := test.ask(limits)
			if got != test.want || got.Allowed() != (test.want.Code == "") {
				t.Errorf("decision %+v, want %+v", got, test.want)
			}
			if off := test.ask(guardrails.Limits{MaxSubscriptionsPerClient: huge}); off != (guardrails.Decision{}) {
				t.Errorf("decision %+v without a limit", off)
			}
			dry := limits
			dry.DryRun = true
			got, want := test.ask(dry), test.want
			want.DryRun = want.Code != ""
			if got != want || !got.Allowed() {
				t.Errorf("decision %+v in a dry run, want %+v", got, want)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		timeout   time.Duration
		silence   time.Duration
		remaining time.Duration
		running   bool
	}{
		{name: "off", timeout: 0, silence: time.Hour},
		{name: "fresh", timeout: 2 * time.Second, silence: 0, remaining: 2 * time.Second, running: true},
		{name: "half", timeout: 2 * time.Second, silence: time.Second, remaining: time.Second, running: true},
		{name: "due", timeout: 2 * time.Second, silence: 2 * time.Second, remaining: 0, running: true},
		{name: "overdue", timeout: 2 * time.Second, silence: 3 * time.Second, remaining: -time.Second, running: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			remaining, running := guardrails.Limits{IdleTimeout: test.timeout}.Idle(start.Add(test.silence), start)
			if remaining != test.remaining || running != test.running {
				t.Errorf("remaining %s, running %t; want %s, %t", remaining, running, test.remaining, test.running)
			}
		})
	}
}
