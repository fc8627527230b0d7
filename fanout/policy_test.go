package fanout_test

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout"
	"github.com/letswriteabook/realtime/guardrails"
)

func TestPolicyIsChecked(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for name, policy := range map[string]fanout.Policy{
		"CatchUpLimit 0":  {Limits: guardrails.DefaultLimits()},
		"SessionBytes -1": {Limits: guardrails.DefaultLimits(), CatchUpLimit: 1, SessionBytes: -1},
	} {
		if _, err := fanout.NewGateway(s.hub, policy, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
