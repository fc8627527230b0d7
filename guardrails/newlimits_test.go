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
	quotas, intakes, requests := guardrails.NewQuotas(), guardrails.NewIntakes(), guardrails.NewRequests(limits)
	var slots []*guardrails.Slot
	for range 3 {
		slot, decision := admission.Admit(visitor, now, 0)
		if slot == nil {
			t.Fatalf("without a limit: %+v", decision)
		}
		slots = append(slots, slot)
	}
	kept := quotas.Take("owner", limits, now)

	limits.MaxConnections, limits.MessagesPerSecond, limits.BytesPerSecond, limits.RequestsPerMinute, limits.MaxRequests = 2, 1, 1, 60, 1
	admission.SetLimits(limits)
	requests.SetLimits(limits)
	if slot, _ := admission.Admit(visitor, now, 0); slot != nil {
		t.Error("admitted beyond the new limit")
	}
	slots[0].Release()
	slots[1].Release()
	if slot, decision := admission.Admit(visitor, now, 0); slot == nil {
		t.Errorf("refused within the new limit: %+v", decision)
	}
	fresh := quotas.Take("owner", limits, now)
	for range 2 {
		if decision := kept.Message(now, 0); !decision.Allowed() {
			t.Errorf("a connection that has a quota: %+v", decision)
		}
	}
	if first, second := fresh.Message(now, 0), fresh.Message(now, 0); !first.Allowed() || second.Allowed() {
		t.Errorf("a new connection: %+v, %+v", first, second)
	}
	if wait := intakes.Take("owner", limits, now).Spend(10, now); wait <= 0 {
		t.Errorf("ten bytes at one a second wait %s", wait)
	}
	first, _ := requests.Admit("owner", now, 0)
	if second, _ := requests.Admit("owner", now, 0); first == nil || second != nil {
		t.Errorf("requests: %v, %v", first, second)
	}

	quotas.Return("owner", fresh, now)
	limits.MessagesPerSecond = 2
	if renewed := quotas.Take("owner", limits, now); renewed == fresh {
		t.Error("a quota with the rates before is handed out")
	}
}

// A lower rate counts for an owner who connects again, whose earlier connection began with
// the rate before, and what that connection has used up counts as well.
func TestLowerRateAppliesToReconnectingOwners(t *testing.T) {
	t.Parallel()
	before := guardrails.Limits{MessagesPerSecond: 100, SubscriptionChangesPerMinute: 6000, BytesPerSecond: 1000}
	after := guardrails.Limits{MessagesPerSecond: 1, SubscriptionChangesPerMinute: 60, BytesPerSecond: 10}
	quotas, intakes := guardrails.NewQuotas(), guardrails.NewIntakes()
	quota, intake := quotas.Take("owner", before, start), intakes.Take("owner", before, start)
	quota.Message(start, 0)
	intake.Spend(500, start)
	quotas.Return("owner", quota, start)
	intakes.Return("owner", intake, start)

	quota, intake = quotas.Take("owner", after, start), intakes.Take("owner", after, start)
	if first := quota.Message(start, 0); first.Allowed() {
		t.Error("what the connection before has used up does not count")
	}
	later := start.Add(time.Second)
	if first, second := quota.Message(later, 0), quota.Message(later, 0); !first.Allowed() || second.Allowed() {
		t.Errorf("at one message a second: %+v, %+v", first, second)
	}
	changes := 0
	for quota.Change(start, 0).Allowed() {
		changes++
	}
	if changes != 60 {
		t.Errorf("%d changes are allowed at once, want 60", changes)
	}
	if wait := intake.Spend(20, start); wait != 1500*time.Millisecond {
		t.Errorf("half a second that was used up, and 20 bytes at 10 a second: a wait of %s", wait)
	}
}
