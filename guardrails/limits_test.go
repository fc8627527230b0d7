package guardrails_test

import (
	"encoding/json"
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

func TestIdle(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
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

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	if err := guardrails.DefaultLimits().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	broken := map[string]guardrails.Limits{
		"MaxConnections is -1: want 0 (no limit) or more":          {MaxConnections: -1, MaxSubscriptionsPerClient: 1},
		"MaxConnectionsPerOrigin is -1: want 0 (no limit) or more": {MaxConnectionsPerOrigin: -1, MaxSubscriptionsPerClient: 1},
		"MaxSubscriptionsPerClient is 0: want 1 or more":           {},
		"IdleTimeout is -1s: want 0 (off) or more":                 {MaxSubscriptionsPerClient: 1, IdleTimeout: -time.Second},
	}
	for want, limits := range broken {
		if err := limits.Validate(); err == nil || err.Error() != want {
			t.Errorf("%+v: error %v, want %q", limits, err, want)
		}
	}
}

func TestProblemCarriesTheFigures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		decision guardrails.Decision
		want     string
	}{
		{
			"full", guardrails.Decision{Code: messaging.CodeMaxConnectionsExceeded, Limit: 3, Current: 3, RetryAfter: 1500 * time.Millisecond},
			`{"message":"Too many realtime connections. Please retry shortly.","code":"MAX_CONNECTIONS_EXCEEDED","limit":3,"current":3,"retryAfterMs":1500}`,
		},
		{
			"origin", guardrails.Decision{Code: messaging.CodeOriginNotAllowed},
			`{"message":"Origin not allowed","code":"ORIGIN_NOT_ALLOWED"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(test.decision.Problem())
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("problem %s, want %s", got, test.want)
			}
		})
	}
}
