package guardrails_test

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// crowd is a plain recount of the sockets of an Admission.
type crowd struct {
	limits     guardrails.Limits
	total      int
	perOrigin  map[string]int
	perAddress map[netip.Addr]int
	perSubject map[string]int
	others     messaging.Share
}

// counted is a visitor with the address that it is counted under.
type counted struct {
	guardrails.Visitor
	network netip.Addr
}

func newCrowd(limits guardrails.Limits, others messaging.Share, present []member) *crowd {
	c := &crowd{limits: limits, others: others, total: len(present), perOrigin: map[string]int{}, perAddress: map[netip.Addr]int{}, perSubject: map[string]int{}}
	for _, m := range present {
		c.perOrigin[m.Origin]++
		c.perAddress[m.network]++
		if m.Subject != "" {
			c.perSubject[m.Subject]++
		}
	}
	return c
}

// met returns the figures of the count that keeps the visitor out, if any.
func (c *crowd) met(v counted) (code messaging.Code, limit, current int) {
	bounds := []struct {
		code           messaging.Code
		limit, current int
	}{
		{messaging.CodeMaxConnectionsExceeded, c.limits.MaxConnections, c.total},
		{messaging.CodeMaxConnectionsExceeded, c.limits.MaxClusterConnections, c.total + c.others.Total},
		{messaging.CodeOriginConnectionsExceeded, c.limits.MaxConnectionsPerOrigin, c.perOrigin[v.Origin]},
		{messaging.CodeOriginConnectionsExceeded, c.limits.MaxClusterConnectionsPerOrigin, c.perOrigin[v.Origin] + c.others.PerOrigin[v.Origin]},
		{messaging.CodeAddressConnectionsExceeded, c.limits.MaxConnectionsPerAddress, c.perAddress[v.network]},
		{messaging.CodeSubjectConnectionsExceeded, c.limits.MaxConnectionsPerSubject, c.perSubject[v.Subject]},
	}
	for _, bound := range bounds {
		if bound.limit > 0 && bound.current >= bound.limit {
			return bound.code, bound.limit, bound.current
		}
	}
	return "", 0, 0
}

// member is a socket that is there.
type member struct {
	counted
	slot *guardrails.Slot
}

func drawLimits(t *rapid.T) guardrails.Limits {
	return guardrails.Limits{
		MaxConnections:                 rapid.IntRange(0, 8).Draw(t, "max"),
		MaxConnectionsPerOrigin:        rapid.IntRange(0, 4).Draw(t, "maxPerOrigin"),
		MaxConnectionsPerAddress:       rapid.IntRange(0, 3).Draw(t, "maxPerAddress"),
		MaxConnectionsPerSubject:       rapid.IntRange(0, 3).Draw(t, "maxPerSubject"),
		MaxClusterConnections:          rapid.IntRange(0, 12).Draw(t, "clusterMax"),
		MaxClusterConnectionsPerOrigin: rapid.IntRange(0, 6).Draw(t, "clusterMaxPerOrigin"),
		ConnectionsPerSecond:           rapid.IntRange(0, 3).Draw(t, "perSecond"),
		DryRun:                         rapid.Bool().Draw(t, "dryRun"),
	}
}

func drawVisitor(t *rapid.T) counted {
	addresses := map[string]string{ // and what they are counted under
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "192.0.2.2": "192.0.2.2",
		"2001:db8::1": "2001:db8::", "2001:db8::2": "2001:db8::", "2001:db8:0:1::1": "2001:db8:0:1::",
	}
	v := counted{Visitor: guardrails.Visitor{
		Origin:  rapid.SampledFrom([]string{"", "http://a", "http://b"}).Draw(t, "origin"),
		Subject: rapid.SampledFrom([]string{"", "reader-1", "reader-2"}).Draw(t, "subject"),
	}}
	names := []string{"", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"}
	if name := rapid.SampledFrom(names).Draw(t, "address"); name != "" {
		v.Address, v.network = netip.MustParseAddr(name), netip.MustParseAddr(addresses[name])
	}
	return v
}

// TestAdmissionNeverDrifts drives connects, refusals, disconnects, repeated ones
// and owners that panic, in random order, against a recount after every step.
func TestAdmissionNeverDrifts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := drawLimits(t)
		admission := guardrails.NewAdmission(limits)
		now := start
		var others messaging.Share
		var open []member
		var released []*guardrails.Slot

		// connect asks for a slot and holds the answer against the recount.
		connect := func(t *rapid.T) (member, bool) {
			visitor := drawVisitor(t)
			slot, decision := admission.Admit(visitor.Visitor, now, rapid.Float64Range(0, 0.999).Draw(t, "jitter"))
			if visitor.Origin == "" {
				visitor.Origin = guardrails.UnknownOrigin
			}
			code, limit, current := newCrowd(limits, others, open).met(visitor)
			if code == "" && decision.Code == messaging.CodeConnectionRateExceeded && limits.ConnectionsPerSecond > 0 {
				code, limit, current = decision.Code, limits.ConnectionsPerSecond, limits.ConnectionsPerSecond
			}
			if decision.Code != code || decision.Limit != limit || decision.Current != current {
				t.Fatalf("decision %+v, want code %q, limit %d, current %d", decision, code, limit, current)
			}
			if met := code != ""; decision.DryRun != (met && limits.DryRun) || met != (decision.RetryAfter >= time.Second) || decision.RetryAfter >= 2*time.Second {
				t.Fatalf("decision %+v of %+v", decision, limits)
			}
			if decision.Allowed() != (slot != nil) || decision.Allowed() != (code == "" || limits.DryRun) {
				t.Fatalf("slot %v beside decision %+v", slot, decision)
			}
			return member{visitor, slot}, slot != nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"connect": func(t *rapid.T) {
				if m, ok := connect(t); ok {
					open = append(open, m)
				}
			},
			"connect and panic": func(t *rapid.T) {
				m, ok := connect(t)
				if !ok {
					t.Skip("nobody came in")
				}
				func() {
					defer func() { _ = recover() }()
					defer m.slot.Release()
					panic("the owner fails")
				}()
				released = append(released, m.slot)
			},
			"disconnect": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nobody is connected")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "i")
				open[i].slot.Release()
				released = append(released, open[i].slot)
				open = append(open[:i], open[i+1:]...)
			},
			"disconnect again": func(t *rapid.T) {
				if len(released) == 0 {
					t.Skip("nobody has left")
				}
				rapid.SampledFrom(released).Draw(t, "slot").Release()
			},
			"other gateways change": func(t *rapid.T) {
				perOrigin := map[string]int{}
				total := 0
				for _, origin := range []string{guardrails.UnknownOrigin, "http://a", "http://b"} {
					perOrigin[origin] = rapid.IntRange(0, 3).Draw(t, "others of "+origin)
					total += perOrigin[origin]
				}
				others = messaging.Share{Total: total, PerOrigin: perOrigin}
				admission.Others(others)
			},
			"time goes on": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "pause")))
			},
			"": func(t *rapid.T) {
				want := newCrowd(limits, others, open)
				total, perOrigin := admission.Counts()
				_, perAddress, perSubject := admission.Tallies()
				if total != want.total || !maps.Equal(perOrigin, want.perOrigin) || !maps.Equal(perAddress, want.perAddress) || !maps.Equal(perSubject, want.perSubject) {
					t.Fatalf("counts %d, %v, %v, %v; want %+v", total, perOrigin, perAddress, perSubject, want)
				}
			},
		})
		for _, m := range open {
			m.slot.Release()
		}
		wantNobody(t, admission)
	})
}
