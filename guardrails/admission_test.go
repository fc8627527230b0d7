package guardrails_test

import (
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestAdmissionRefusesAtTheLimit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		limits  guardrails.Limits
		present []string
		origin  string
		want    messaging.Code
		limit   int
		current int
	}{
		{name: "no limits", present: []string{"a", "a", "a"}, origin: "a"},
		{name: "below the total", limits: guardrails.Limits{MaxConnections: 2}, present: []string{"a"}, origin: "a"},
		{name: "at the total", limits: guardrails.Limits{MaxConnections: 2}, present: []string{"a", "b"}, origin: "c", want: messaging.CodeMaxConnectionsExceeded, limit: 2, current: 2},
		{name: "at the origin's", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: []string{"a"}, origin: "a", want: messaging.CodeOriginConnectionsExceeded, limit: 1, current: 1},
		{name: "another origin", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: []string{"a"}, origin: "b"},
		{name: "no origin is one origin", limits: guardrails.Limits{MaxConnectionsPerOrigin: 1}, present: []string{""}, origin: "", want: messaging.CodeOriginConnectionsExceeded, limit: 1, current: 1},
		{name: "the total comes first", limits: guardrails.Limits{MaxConnections: 1, MaxConnectionsPerOrigin: 1}, present: []string{"a"}, origin: "a", want: messaging.CodeMaxConnectionsExceeded, limit: 1, current: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			admission := guardrails.NewAdmission(test.limits)
			for _, origin := range test.present {
				if _, decision := admission.Admit(origin, 0); !decision.Allowed() {
					t.Fatalf("setting up: %v", decision)
				}
			}
			slot, decision := admission.Admit(test.origin, 0.5)
			if decision.Code != test.want || decision.Limit != test.limit || decision.Current != test.current {
				t.Fatalf("decision %+v, want code %q, limit %d, current %d", decision, test.want, test.limit, test.current)
			}
			if (slot == nil) == decision.Allowed() {
				t.Fatalf("slot %v beside decision %+v", slot, decision)
			}
			if !decision.Allowed() && decision.RetryAfter <= 0 {
				t.Error("a refusal for want of room advises no retry")
			}
		})
	}
}

// TestAdmissionNeverDrifts drives connects, refusals and (repeated) disconnects
// in random order against a plain recount.
func TestAdmissionNeverDrifts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := guardrails.Limits{
			MaxConnections:          rapid.IntRange(0, 6).Draw(t, "max"),
			MaxConnectionsPerOrigin: rapid.IntRange(0, 3).Draw(t, "maxPerOrigin"),
		}
		admission := guardrails.NewAdmission(limits)
		var open, released []*guardrails.Slot
		check := func() {
			want := map[string]int{}
			for _, slot := range open {
				want[slot.Origin()]++
			}
			total, perOrigin := admission.Counts()
			if total != len(open) || len(perOrigin) != len(want) {
				t.Fatalf("counts %d %v, want %d %v", total, perOrigin, len(open), want)
			}
			for origin, n := range want {
				if perOrigin[origin] != n {
					t.Fatalf("origin %q counts %d, want %d", origin, perOrigin[origin], n)
				}
				if limits.MaxConnectionsPerOrigin > 0 && n > limits.MaxConnectionsPerOrigin {
					t.Fatalf("origin %q has %d sockets, limit %d", origin, n, limits.MaxConnectionsPerOrigin)
				}
			}
			if limits.MaxConnections > 0 && total > limits.MaxConnections {
				t.Fatalf("%d sockets, limit %d", total, limits.MaxConnections)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"connect": func(t *rapid.T) {
				origin := rapid.SampledFrom([]string{"", "http://a", "http://b"}).Draw(t, "origin")
				if slot, decision := admission.Admit(origin, 0); decision.Allowed() {
					open = append(open, slot)
				}
			},
			"disconnect": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nobody is connected")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "i")
				open[i].Release()
				released = append(released, open[i])
				open = append(open[:i], open[i+1:]...)
			},
			"disconnect again": func(t *rapid.T) {
				if len(released) == 0 {
					t.Skip("nobody has left")
				}
				rapid.SampledFrom(released).Draw(t, "slot").Release()
			},
			"": func(*rapid.T) { check() },
		})
	})
}

func TestAdmissionUnderConcurrency(t *testing.T) {
	t.Parallel()
	admission := guardrails.NewAdmission(guardrails.Limits{MaxConnections: 50})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if slot, decision := admission.Admit("http://a", 0); decision.Allowed() {
				slot.Release()
			}
		})
	}
	wg.Wait()
	if total, perOrigin := admission.Counts(); total != 0 || len(perOrigin) != 0 {
		t.Fatalf("counts %d %v after everyone left", total, perOrigin)
	}
}
