package gateway_test

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestPolicyIsChecked(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	limits := guardrails.Limits{MaxSubscriptionsPerClient: 20}
	for name, policy := range map[string]gateway.Policy{
		"CatchUpLimit 0":  {Limits: limits},
		"SessionBytes -1": {Limits: limits, CatchUpLimit: 1, SessionBytes: -1},
	} {
		if _, err := gateway.New(s.hub, messaging.DefaultCatalogue(), policy, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
