package guardrails_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func from(address string) guardrails.Visitor {
	return guardrails.Visitor{Address: netip.MustParseAddr(address)}
}

// TestOtherGatewaysCount: what the others hold counts against the limits of the
// cluster and against no other.
func TestOtherGatewaysCount(t *testing.T) {
	t.Parallel()
	limits := guardrails.Limits{MaxConnections: 3, MaxClusterConnections: 5, MaxClusterConnectionsPerOrigin: 3}
	admit := func(a *guardrails.Admission, origin string) (*guardrails.Slot, guardrails.Decision) {
		return a.Admit(guardrails.Visitor{Origin: origin}, time.Unix(0, 0), 0)
	}
	a := guardrails.NewAdmission(limits)
	a.Others(messaging.Share{Total: 3, PerOrigin: map[string]int{"a": 2, "b": 1}})
	first, decision := admit(a, "a")
	if !decision.Allowed() {
		t.Fatalf("decision %+v", decision)
	}
	want := guardrails.Decision{Code: messaging.CodeOriginConnectionsExceeded, Limit: 3, Current: 3, RetryAfter: time.Second}
	if _, decision = admit(a, "a"); decision != want {
		t.Errorf("decision %+v, want %+v", decision, want)
	}
	if _, decision = admit(a, "b"); !decision.Allowed() {
		t.Errorf("decision %+v", decision)
	}
	want = guardrails.Decision{Code: messaging.CodeMaxConnectionsExceeded, Limit: 5, Current: 5, RetryAfter: time.Second}
	if _, decision = admit(a, "c"); decision != want || a.Everywhere() != 5 {
		t.Errorf("decision %+v, want %+v, %d everywhere", decision, want, a.Everywhere())
	}
	first.Release()
	a.Others(messaging.Share{}) // they are gone
	for range 2 {
		if _, decision = admit(a, "c"); !decision.Allowed() {
			t.Errorf("decision %+v", decision)
		}
	}
	if _, decision = admit(a, "c"); decision.Limit != 3 {
		t.Errorf("decision %+v, want this gateway's own limit", decision)
	}
}

func TestAdmissionRefusesAtTheLimit(t *testing.T) {
	t.Parallel()
	type visitors = []guardrails.Visitor
	var (
		a    = guardrails.Visitor{Origin: "a", Address: netip.MustParseAddr("192.0.2.1"), Subject: "reader-1"}
		b    = guardrails.Visitor{Origin: "b", Address: netip.MustParseAddr("192.0.2.2"), Subject: "reader-2"}
		none = guardrails.Visitor{}
	)
	tests := []struct {
		name    string
		limits  guardrails.Limits
		present visitors
		visitor guardrails.Visitor
		want    messaging.Code
		current int // and the limit
	}{
		{name: "no limits", present: visitors{a, a, a}, visitor: a},
		{name: "below the total", limits: guardrails.Limits{MaxConnections: 2}, present: visitors{a}, visitor: a},
		{name: "at the total", limits: guardrails.Limits{MaxConnections: 2}, present: visitors{a, b}, visitor: none, want: messaging.CodeMaxConnectionsExceeded, current: 2},
		{name: "at the origin's", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: visitors{a}, visitor: a, want: messaging.CodeOriginConnectionsExceeded, current: 1},
		{name: "another spelling of the origin", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: visitors{a}, visitor: guardrails.Visitor{Origin: "A/"}, want: messaging.CodeOriginConnectionsExceeded, current: 1},
		{name: "another origin", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: visitors{a}, visitor: b},
		{name: "no origin is one origin", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: visitors{none}, visitor: none, want: messaging.CodeOriginConnectionsExceeded, current: 1},
		{name: "at the address's", limits: guardrails.Limits{MaxConnectionsPerAddress: 2}, present: visitors{a, a}, visitor: a, want: messaging.CodeAddressConnectionsExceeded, current: 2},
		{name: "another address", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{a}, visitor: b},
		{name: "no address is one address", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{none}, visitor: none, want: messaging.CodeAddressConnectionsExceeded, current: 1},
		{name: "no address is not all zeros", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{none, from("0.0.0.0")}, visitor: from("::")},
		{name: "another address of one IPv6 /64", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{from("2001:db8::1")}, visitor: from("2001:db8::ffff:1:2:3"), want: messaging.CodeAddressConnectionsExceeded, current: 1},
		{name: "another IPv6 /64", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{from("2001:db8::1")}, visitor: from("2001:db8:0:1::1")},
		{name: "another zone", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{from("fe80::1%eth0")}, visitor: from("fe80::1%eth1"), want: messaging.CodeAddressConnectionsExceeded, current: 1},
		{name: "IPv4 inside IPv6", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{a}, visitor: from("::ffff:192.0.2.1"), want: messaging.CodeAddressConnectionsExceeded, current: 1},
		{name: "another IPv4 inside IPv6", limits: guardrails.Limits{MaxConnectionsPerAddress: 1}, present: visitors{a}, visitor: from("::ffff:192.0.2.2")},
		{name: "at the subject's", limits: guardrails.Limits{MaxConnectionsPerSubject: 1}, present: visitors{a}, visitor: a, want: messaging.CodeSubjectConnectionsExceeded, current: 1},
		{name: "another subject", limits: guardrails.Limits{MaxConnectionsPerSubject: 1}, present: visitors{a}, visitor: b},
		{name: "no subject is nobody's", limits: guardrails.Limits{MaxConnectionsPerSubject: 1}, present: visitors{none, none}, visitor: none},
		{name: "at the rate", limits: guardrails.Limits{ConnectionsPerSecond: 2}, present: visitors{a, b}, visitor: none, want: messaging.CodeConnectionRateExceeded, current: 2},
		{
			name: "the total comes first", present: visitors{a}, visitor: a, want: messaging.CodeMaxConnectionsExceeded, current: 1,
			limits: guardrails.Limits{MaxConnections: 1, MaxConnectionsPerOrigin: 1, MaxConnectionsPerAddress: 1, MaxConnectionsPerSubject: 1, ConnectionsPerSecond: 1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			admission := guardrails.NewAdmission(test.limits)
			for _, visitor := range test.present {
				if _, decision := admission.Admit(visitor, start, 0); !decision.Allowed() {
					t.Fatalf("setting up: %v", decision)
				}
			}
			want := guardrails.Decision{}
			if test.want != "" {
				want = guardrails.Decision{Code: test.want, Limit: test.current, Current: test.current, RetryAfter: 1500 * time.Millisecond}
			}
			slot, decision := admission.Admit(test.visitor, start, 0.5)
			if decision != want {
				t.Fatalf("decision %+v, want %+v", decision, want)
			}
			if (slot == nil) == decision.Allowed() {
				t.Fatalf("slot %v beside decision %+v", slot, decision)
			}
		})
	}
}

// The shortest wait that is advised is as long as the slowest rate takes.
func TestAdmissionAdvisesToWaitForTheRate(t *testing.T) {
	t.Parallel()
	admission := guardrails.NewAdmission(guardrails.Limits{ConnectionsPerSecond: 1})
	now := start
	admit(t, admission, now)
	_, decision := admission.Admit(guardrails.Visitor{}, now, 0)
	if decision.RetryAfter != time.Second {
		t.Fatalf("decision %+v, want a wait of a second", decision)
	}
	now = now.Add(decision.RetryAfter)
	admit(t, admission, now)
	if _, decision := admission.Admit(guardrails.Visitor{}, now, 0); decision.Allowed() {
		t.Error("two were admitted after a wait for one")
	}
}

// Clients that a count keeps out do not use up the rate of those that may come.
func TestRefusalsSpendNothingOfTheRate(t *testing.T) {
	t.Parallel()
	admission := guardrails.NewAdmission(guardrails.Limits{ConnectionsPerSecond: 2, MaxConnectionsPerAddress: 1})
	visitor := from("192.0.2.1")
	if _, decision := admission.Admit(visitor, start, 0); !decision.Allowed() {
		t.Fatalf("setting up: %+v", decision)
	}
	for range 100 {
		if _, decision := admission.Admit(visitor, start, 0); decision.Code != messaging.CodeAddressConnectionsExceeded {
			t.Fatalf("decision %+v", decision)
		}
	}
	admit(t, admission, start)
}

func TestAdmissionInADryRun(t *testing.T) {
	t.Parallel()
	admission := guardrails.NewAdmission(guardrails.Limits{MaxConnections: 1, DryRun: true})
	first, decision := admission.Admit(guardrails.Visitor{}, start, 0)
	if decision != (guardrails.Decision{}) {
		t.Fatalf("decision %+v below the limit", decision)
	}
	second, decision := admission.Admit(guardrails.Visitor{}, start, 0)
	want := guardrails.Decision{Code: messaging.CodeMaxConnectionsExceeded, Limit: 1, Current: 1, RetryAfter: time.Second, DryRun: true}
	if decision != want || !decision.Allowed() || second == nil {
		t.Fatalf("decision %+v and slot %v, want %+v and a slot", decision, second, want)
	}
	if total, _ := admission.Counts(); total != 2 {
		t.Errorf("%d sockets counted, want 2", total)
	}
	second.Release()
	first.Release()
	if total, perOrigin := admission.Counts(); total != 0 || len(perOrigin) != 0 {
		t.Errorf("counts %d %v after everyone left", total, perOrigin)
	}
}

// The map that Counts returns is the caller's.
// TestReplace: a socket that goes on for an earlier one needs no second place, and one
// that is refused takes none from the earlier one.
func TestReplace(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	a := guardrails.NewAdmission(guardrails.Limits{MaxConnections: 2, MaxConnectionsPerAddress: 1})
	earlier, _ := a.Admit(from("192.0.2.1"), now, 0)
	neighbour, _ := a.Admit(from("192.0.2.2"), now, 0)
	if slot, decision := a.Replace(earlier, from("192.0.2.2"), now, 0); slot != nil || decision.Code != messaging.CodeAddressConnectionsExceeded {
		t.Errorf("slot %v, decision %+v", slot, decision)
	}
	if _, decision := a.Admit(from("192.0.2.1"), now, 0); decision.Allowed() {
		t.Error("the place of the earlier one was given away")
	}
	later, decision := a.Replace(earlier, from("192.0.2.1"), now, 0)
	if !decision.Allowed() {
		t.Fatalf("decision %+v", decision)
	}
	earlier.Release() // does nothing
	if total, _ := a.Counts(); total != 2 {
		t.Errorf("%d are counted", total)
	}
	if _, decision := a.Replace(earlier, from("192.0.2.3"), now, 0); decision.Code != messaging.CodeMaxConnectionsExceeded {
		t.Errorf("decision %+v: a slot is replaced twice", decision)
	}
	later.Release()
	neighbour.Release()
	if total, perOrigin := a.Counts(); total != 0 || len(perOrigin) != 0 {
		t.Errorf("%d are counted, %v", total, perOrigin)
	}
}

func TestCountsAreACopy(t *testing.T) {
	t.Parallel()
	admission := guardrails.NewAdmission(guardrails.Limits{})
	admit(t, admission, start)
	_, perOrigin := admission.Counts()
	perOrigin[guardrails.UnknownOrigin] = 7
	if _, perOrigin := admission.Counts(); perOrigin[guardrails.UnknownOrigin] != 1 {
		t.Errorf("counts %v, want one unknown", perOrigin)
	}
}

func TestAdmissionUnderConcurrency(t *testing.T) {
	t.Parallel()
	const limit = 50
	admission := guardrails.NewAdmission(guardrails.Limits{MaxConnections: limit, MaxConnectionsPerAddress: 10, MaxConnectionsPerSubject: 10})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			visitor := guardrails.Visitor{
				Origin:  fmt.Sprintf("http://%d", i%7),
				Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 5)}),
				Subject: fmt.Sprintf("reader-%d", i%11),
			}
			for range 20 {
				slot, decision := admission.Admit(visitor, start, 0)
				if !decision.Allowed() {
					continue
				}
				if total, _ := admission.Counts(); total > limit {
					t.Errorf("%d sockets, limit %d", total, limit)
				}
				// Whoever ends a socket first gives its slot back.
				var enders sync.WaitGroup
				for range 2 {
					enders.Go(slot.Release)
				}
				enders.Wait()
			}
		})
	}
	wg.Wait()
	wantNobody(t, admission)
}

func admit(t testing.TB, admission *guardrails.Admission, now time.Time) {
	t.Helper()
	if _, decision := admission.Admit(guardrails.Visitor{}, now, 0); !decision.Allowed() {
		t.Fatalf("decision %+v", decision)
	}
}

// wantNobody checks that nothing is left of the sockets that were there.
func wantNobody(t interface {
	Helper()
	Fatalf(string, ...any)
}, admission *guardrails.Admission,
) {
	t.Helper()
	total, _ := admission.Counts()
	perOrigin, perAddress, perSubject := admission.Tallies()
	if total != 0 || len(perOrigin) != 0 || len(perAddress) != 0 || len(perSubject) != 0 {
		t.Fatalf("counts %d, %v, %v, %v after everyone left", total, perOrigin, perAddress, perSubject)
	}
}
