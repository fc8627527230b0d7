package guardrails_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

// TestNewLimits: limits that are replaced count from then on; who is admitted stays.
func TestNewLimits(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	limits := guardrails.Limits{MaxSubscriptionsPerClient: 1}
	visitor := guardrails.Visitor{Address: netip.MustParseAddr("203.0.113.7")}
	admission := guardrails.NewAdmission(limits)
	quotas, intakes, requests := guardrails.NewQuotas(limits), guardrails.NewIntakes(limits), guardrails.NewRequests(limits)
	var slots []*guardrails.Slot
	for range 3 {
		slot, decision := admission.Admit(visitor, now, 0)
		if slot == nil {
			t.Fatalf("without a limit: %+v", decision)
		}
		slots = append(slots, slot)
	}
	kept := quotas.Take("owner", now)

	limits.MaxConnections, limits.MessagesPerSecond, limits.BytesPerSecond, limits.RequestsPerMinute, limits.MaxRequests = 2, 1, 1, 60, 1
	admission.SetLimits(limits)
	quotas.SetLimits(limits)
	intakes.SetLimits(limits)
	requests.SetLimits(limits)
	if slot, _ := admission.Admit(visitor, now, 0); slot != nil {
		t.Error("admitted beyond the new limit")
	}
	slots[0].Release()
	slots[1].Release()
	if slot, decision := admission.Admit(visitor, now, 0); slot == nil {
		t.Errorf("refused within the new limit: %+v", decision)
	}
	fresh := quotas.Take("owner", now)
	for range 2 {
		if decision := kept.Message(now, 0); !decision.Allowed() {
			t.Errorf("a connection that has a quota: %+v", decision)
		}
	}
	if first, second := fresh.Message(now, 0), fresh.Message(now, 0); !first.Allowed() || second.Allowed() {
		t.Errorf("a new connection: %+v, %+v", first, second)
	}
	if wait := intakes.Take("owner", now).Spend(10, now); wait <= 0 {
		t.Errorf("ten bytes at one a second wait %s", wait)
	}
	first, _ := requests.Admit("owner", now, 0)
	if second, _ := requests.Admit("owner", now, 0); first == nil || second != nil {
		t.Errorf("requests: %v, %v", first, second)
	}

	quotas.Return("owner", fresh, now)
	limits.MessagesPerSecond = 2
	quotas.SetLimits(limits)
	if renewed := quotas.Take("owner", now); renewed == fresh {
		t.Error("a quota with the rates before is handed out")
	}
}
