package guardrails_test

import (
	"net/netip"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
)

var crowdedLimits = guardrails.Limits{
	MaxConnections: 1_000_000, MaxConnectionsPerOrigin: 1_000_000, MaxConnectionsPerAddress: 2, MaxConnectionsPerSubject: 1_000_000,
	ConnectionsPerSecond: 1_000_000, MessagesPerSecond: 1,
}

var visitor = guardrails.Visitor{Origin: "http://book.example", Address: netip.MustParseAddr("2001:db8::1"), Subject: "reader-1"}

// TestAllocations is not parallel: it counts what the whole process allocates.
func TestAllocations(t *testing.T) {
	admission := guardrails.NewAdmission(crowdedLimits)
	admission.Admit(visitor, start, 0)
	quota := guardrails.NewQuota(crowdedLimits)
	grant := newGrant(t, []string{"job-1", "team-1/*"}, nil)
	trusted := parseProxies(t, "10.0.0.0/8")
	proxy, forwardedFor := netip.MustParseAddr("10.0.0.1"), []string{"198.51.100.1, 203.0.113.7, 10.0.0.2"}
	full := guardrails.NewAdmission(guardrails.Limits{MaxConnections: 1})
	full.Admit(visitor, start, 0)
	budgets := []struct {
		name   string
		allocs float64
		run    func()
	}{
		{"a socket that comes and goes: its slot", 1, func() {
			slot, _ := admission.Admit(visitor, start, 0)
			slot.Release()
		}},
		{"a refused socket", 0, func() { full.Admit(visitor, start, 0) }},
		{"a message", 0, func() { quota.Message(start, 0) }},
		{"a job asked for", 0, func() { grant.Follow("team-1/novel") }},
		{"an address behind two proxies", 0, func() { guardrails.ClientAddress(proxy, forwardedFor, nil, trusted) }},
	}
	for _, budget := range budgets {
		if got := testing.AllocsPerRun(1000, budget.run); got > budget.allocs {
			t.Errorf("%s: %v allocations, want at most %v", budget.name, got, budget.allocs)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	b.Run("admitted", func(b *testing.B) {
		b.ReportAllocs()
		admission := guardrails.NewAdmission(guardrails.Limits{MaxConnections: 2, MaxConnectionsPerAddress: 2})
		for b.Loop() {
			slot, _ := admission.Admit(visitor, start, 0)
			slot.Release()
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		admission := guardrails.NewAdmission(guardrails.Limits{MaxConnectionsPerAddress: 1})
		admission.Admit(visitor, start, 0)
		for b.Loop() {
			admission.Admit(visitor, start, 0)
		}
	})
}

func BenchmarkQuota(b *testing.B) {
	b.ReportAllocs()
	quota := guardrails.NewQuota(crowdedLimits)
	for b.Loop() {
		quota.Message(start, 0)
	}
}
