package guardrails_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// fewest has no limit but the one that is always there.
var fewest = guardrails.Limits{MaxSubscriptionsPerClient: 20}

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	if err := fewest.Validate(); err != nil {
		t.Errorf("%+v is refused: %v", fewest, err)
	}
	tests := map[string]func(*guardrails.Limits){
		"MaxConnections is -1: want 0 (no limit) or more":                 func(l *guardrails.Limits) { l.MaxConnections = -1 },
		"MaxConnectionsPerOrigin is -1: want 0 (no limit) or more":        func(l *guardrails.Limits) { l.MaxConnectionsPerOrigin = -1 },
		"MaxConnectionsPerAddress is -1: want 0 (no limit) or more":       func(l *guardrails.Limits) { l.MaxConnectionsPerAddress = -1 },
		"MaxConnectionsPerSubject is -1: want 0 (no limit) or more":       func(l *guardrails.Limits) { l.MaxConnectionsPerSubject = -1 },
		"MaxClusterConnections is -1: want 0 (no limit) or more":          func(l *guardrails.Limits) { l.MaxClusterConnections = -1 },
		"MaxClusterConnectionsPerOrigin is -1: want 0 (no limit) or more": func(l *guardrails.Limits) { l.MaxClusterConnectionsPerOrigin = -1 },
		"ConnectionsPerSecond is -1: want 0 (no limit) or more":           func(l *guardrails.Limits) { l.ConnectionsPerSecond = -1 },
		"MaxSubscriptionsPerClient is 0: want 1 or more":                  func(l *guardrails.Limits) { l.MaxSubscriptionsPerClient = 0 },
		"SubscriptionChangesPerMinute is -1: want 0 (no limit) or more":   func(l *guardrails.Limits) { l.SubscriptionChangesPerMinute = -1 },
		"MessagesPerSecond is -1: want 0 (no limit) or more":              func(l *guardrails.Limits) { l.MessagesPerSecond = -1 },
		"MaxMessageBytes is -1: want 0 (no limit) or more":                func(l *guardrails.Limits) { l.MaxMessageBytes = -1 },
		"IdleTimeout is -1s: want 0 (off) or more":                        func(l *guardrails.Limits) { l.IdleTimeout = -time.Second },

		"ConnectionsPerSecond: rate is 1.000001e+06 a second: want 0 (no limit), or one an hour to 1000000 a second": func(l *guardrails.Limits) { l.ConnectionsPerSecond = 1_000_001 },
		"MessagesPerSecond: rate is 1.000001e+06 a second: want 0 (no limit), or one an hour to 1000000 a second":    func(l *guardrails.Limits) { l.MessagesPerSecond = 1_000_001 },
		"SubscriptionChangesPerMinute: burst is 1000001: want 0 (one second's worth) to 1000000":                     func(l *guardrails.Limits) { l.SubscriptionChangesPerMinute = 1_000_001 },
	}
	for want, spoil := range tests {
		limits := fewest
		spoil(&limits)
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
			"full",
			guardrails.Decision{Code: messaging.CodeMaxConnectionsExceeded, Limit: 3, Current: 3, RetryAfter: 1500 * time.Millisecond},
			`{"message":"Too many realtime connections. Please retry shortly.","code":"MAX_CONNECTIONS_EXCEEDED","limit":3,"current":3,"retryAfterMs":1500}`,
		},
		{
			"origin",
			guardrails.Decision{Code: messaging.CodeOriginNotAllowed},
			`{"message":"Origin not allowed","code":"ORIGIN_NOT_ALLOWED"}`,
		},
		{
			"a wait of less than it can say",
			guardrails.Decision{Code: messaging.CodeMessageRateExceeded, Limit: 5, Current: 5, RetryAfter: time.Microsecond},
			`{"message":"Too many messages on this connection.","code":"MESSAGE_RATE_EXCEEDED","limit":5,"current":5,"retryAfterMs":1}`,
		},
		{
			"nothing in use",
			guardrails.Decision{Code: messaging.CodeSubscriptionLimitReached, Limit: 5},
			`{"message":"Subscription limit reached for this connection.","code":"SUBSCRIPTION_LIMIT_REACHED","limit":5,"current":0}`,
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
