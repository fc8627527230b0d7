package guardrails

import (
	"sync"

	"github.com/letswriteabook/realtime/messaging"
)

// UnknownOrigin is the origin under which sockets without an Origin header are
// counted.
const UnknownOrigin = "unknown"

// Admission counts the sockets of one gateway and decides about new ones. Its
// methods may be called concurrently.
//
// Invariant: Total is the number of slots taken and not yet released, and so is
// the sum over the origins; no origin is kept with a count of zero.
type Admission struct {
	limits Limits

	mu        sync.Mutex // guards total and perOrigin
	total     int
	perOrigin map[string]int
}

// NewAdmission returns an Admission with no socket counted.
func NewAdmission(limits Limits) *Admission {
	return &Admission{limits: limits, perOrigin: make(map[string]int)}
}

// Slot is one admitted socket's place in the counts.
type Slot struct {
	admission *Admission
	origin    string
	once      sync.Once
}

// Origin returns the origin that the slot is counted under.
func (s *Slot) Origin() string { return s.origin }

// Release gives the slot back. Calls after the first do nothing.
func (s *Slot) Release() {
	s.once.Do(func() { s.admission.release(s.origin) })
}

// Admit takes a slot for a socket of this origin, or returns nil and the
// refusal. An empty origin counts as [UnknownOrigin]. jitter, in [0, 1),
// spreads the advised retry.
func (a *Admission) Admit(origin string, jitter float64) (*Slot, Decision) {
	if origin == "" {
		origin = UnknownOrigin
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	decision := a.decide(origin)
	if decision.Code != "" {
		decision.RetryAfter = jittered(retryBase, jitter)
	}
	if !decision.Allowed() {
		return nil, decision
	}
	a.total++
	a.perOrigin[origin]++
	return &Slot{admission: a, origin: origin}, decision
}

// decide is called with mu held.
func (a *Admission) decide(origin string) Decision {
	l := a.limits
	if d := l.oneMore(messaging.CodeMaxConnectionsExceeded, l.MaxConnections, a.total); d.Code != "" {
		return d
	}
	return l.oneMore(messaging.CodeOriginConnectionsExceeded, l.MaxConnectionsPerOrigin, a.perOrigin[origin])
}

func (a *Admission) release(origin string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	a.perOrigin[origin]--
	if a.perOrigin[origin] == 0 {
		delete(a.perOrigin, origin)
	}
}

// Counts returns how many slots are taken, in all and per origin.
func (a *Admission) Counts() (total int, perOrigin map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	perOrigin = make(map[string]int, len(a.perOrigin))
	for origin, n := range a.perOrigin {
		perOrigin[origin] = n
	}
	return a.total, perOrigin
}
