package guardrails

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// UnknownOrigin is the origin under which sockets without an Origin header are
// counted.
const UnknownOrigin = "unknown"

// Visitor is a client that asks to be admitted.
type Visitor struct {
	// Origin is its Origin header; empty counts as [UnknownOrigin].
	Origin string
	// Address is its own, see [ClientAddress]. All clients without one, as on a
	// Unix socket, count as one address.
	Address netip.Addr
	// Subject is that of its [Grant]; without one it counts under no subject.
	Subject string
}

// Owner returns the name by which fair shares are divided: the subject of the token, or the
// address without a token.
func (v Visitor) Owner() string {
	if v.Subject != "" {
		return "subject " + v.Subject
	}
	return "address " + CountedAddress(v.Address).String()
}

// Admission counts the sockets of one gateway and decides about new ones. Its
// methods may be called concurrently.
//
// Invariants: the total is the number of slots that are taken, and equals the sum over the
// origins and the sum over the addresses. The sum over the subjects is the number of slots
// with a subject. No key has a count of zero. A refusal changes nothing.
type Admission struct {
	mu         sync.Mutex // guards everything below, and released of every slot
	limits     Limits
	rate       Bucket
	total      int
	perOrigin  tally[string]
	perAddress tally[netip.Addr]
	perSubject tally[string]
	others     messaging.Share
}

// NewAdmission returns an Admission with no socket counted.
func NewAdmission(limits Limits) *Admission {
	return &Admission{
		limits:     limits,
		rate:       limits.ConnectionRate().Bucket(),
		perOrigin:  make(tally[string]),
		perAddress: make(tally[netip.Addr]),
		perSubject: make(tally[string]),
	}
}

// Slot is one admitted socket's place in the counts.
type Slot struct {
	admission *Admission
	visitor   Visitor // as it is counted
	released  bool
}

// Origin returns the origin that the slot is counted under.
func (s *Slot) Origin() string { return s.visitor.Origin }

// Owner returns the [Visitor.Owner] of the slot.
func (s *Slot) Owner() string { return s.visitor.Owner() }

// Release gives the slot back. Calls after the first do nothing.
func (s *Slot) Release() { s.admission.release(s) }

// Admit takes a slot for a socket of this visitor, or returns nil and the refusal. In a dry
// run there is always a slot, and the decision states what would have been refused. jitter,
// in [0, 1), spreads the advised retry.
//
// A visitor that is refused by a count does not use up the connection rate, so clients that
// cannot get in do not keep others out.
func (a *Admission) Admit(visitor Visitor, now time.Time, jitter float64) (*Slot, Decision) {
	return a.Replace(nil, visitor, now, jitter)
}

// Replace is Admit for a socket that continues an earlier one. It decides as if the slot of
// the earlier socket had been released, and releases that slot when it admits the new one.
// A refusal leaves the earlier slot taken. An earlier slot that is nil or already released
// has no effect.
func (a *Admission) Replace(earlier *Slot, visitor Visitor, now time.Time, jitter float64) (*Slot, Decision) {
	if visitor.Origin = normalOrigin(visitor.Origin); visitor.Origin == "" {
		visitor.Origin = UnknownOrigin
	}
	visitor.Address = CountedAddress(visitor.Address)
	a.mu.Lock()
	defer a.mu.Unlock()
	replaces := earlier != nil && !earlier.released
	if replaces {
		a.exclude(earlier.visitor)
	}
	decision := a.decide(visitor, now)
	if decision.Code != "" {
		decision.RetryAfter = jittered(retryBase, jitter)
	}
	if !decision.Allowed() {
		if replaces {
			a.include(earlier.visitor)
		}
		return nil, decision
	}
	if replaces {
		earlier.released = true
	}
	a.include(visitor)
	return &Slot{admission: a, visitor: visitor}, decision
}

// include counts a visitor. Like exclude, it is called with mu held.
func (a *Admission) include(visitor Visitor) {
	a.total++
	a.perOrigin.add(visitor.Origin)
	a.perAddress.add(visitor.Address)
	if visitor.Subject != "" {
		a.perSubject.add(visitor.Subject)
	}
}

func (a *Admission) exclude(visitor Visitor) {
	a.total--
	a.perOrigin.remove(visitor.Origin)
	a.perAddress.remove(visitor.Address)
	if visitor.Subject != "" {
		a.perSubject.remove(visitor.Subject)
	}
}

// decide is called with mu held. It changes state only if it allows the visitor: it uses
// one connection of the rate.
func (a *Admission) decide(visitor Visitor, now time.Time) Decision {
	l := a.limits
	if d := l.oneMore(messaging.CodeMaxConnectionsExceeded, l.MaxConnections, a.total); d.Code != "" {
		return d
	}
	if d := l.oneMore(messaging.CodeMaxConnectionsExceeded, l.MaxClusterConnections, a.total+a.others.Total); d.Code != "" {
		return d
	}
	if d := l.oneMore(messaging.CodeOriginConnectionsExceeded, l.MaxConnectionsPerOrigin, a.perOrigin[visitor.Origin]); d.Code != "" {
		return d
	}
	everywhere := a.perOrigin[visitor.Origin] + a.others.PerOrigin[visitor.Origin]
	if d := l.oneMore(messaging.CodeOriginConnectionsExceeded, l.MaxClusterConnectionsPerOrigin, everywhere); d.Code != "" {
		return d
	}
	if d := l.oneMore(messaging.CodeAddressConnectionsExceeded, l.MaxConnectionsPerAddress, a.perAddress[visitor.Address]); d.Code != "" {
		return d
	}
	// Nothing is counted under the empty subject, so its limit is never reached.
	if d := l.oneMore(messaging.CodeSubjectConnectionsExceeded, l.MaxConnectionsPerSubject, a.perSubject[visitor.Subject]); d.Code != "" {
		return d
	}
	if _, ok := a.rate.Take(now); !ok {
		return l.refuse(messaging.CodeConnectionRateExceeded, a.rate.burst, a.rate.burst)
	}
	return allowed
}

func (a *Admission) release(slot *Slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slot.released {
		return
	}
	slot.released = true
	a.exclude(slot.visitor)
}

// SetLimits replaces the limits. Admitted sockets stay, even beyond the new limits.
func (a *Admission) SetLimits(limits Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limits.ConnectionRate() != a.limits.ConnectionRate() {
		a.rate = limits.ConnectionRate().Bucket()
	}
	a.limits = limits
}

// Others sets how many sockets the other gateways hold together, which counts against the
// limits of the cluster until the next call. Admission keeps the map; the caller must not
// change it afterwards.
func (a *Admission) Others(share messaging.Share) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.others = share
}

// Everywhere returns how many slots are taken in all gateways, as far as is known: in this
// one, and in the others according to [Admission.Others].
func (a *Admission) Everywhere() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total + a.others.Total
}

// Counts returns how many slots are taken, in all and per origin.
func (a *Admission) Counts() (total int, perOrigin map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total, maps.Clone(map[string]int(a.perOrigin))
}

// tally counts by key and forgets a key whose count is back at zero.
type tally[K comparable] map[K]int

func (t tally[K]) add(key K) { t[key]++ }

func (t tally[K]) remove(key K) {
	if t[key]--; t[key] == 0 {
		delete(t, key)
	}
}

// ipv6PrefixBits is the length of the IPv6 prefix that counts as one address:
// a host with one address of a /64 has all of them (RFC 4291 section 2.5.1).
const ipv6PrefixBits = 64

// CountedAddress returns what a client's address is counted under: itself, or its
// IPv6 /64.
func CountedAddress(address netip.Addr) netip.Addr {
	address = plainAddress(address)
	if !address.Is6() {
		return address
	}
	prefix, _ := address.Prefix(ipv6PrefixBits) // fails on a length that an address can not have
	return prefix.Addr()
}
