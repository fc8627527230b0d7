package guardrails

import "net/netip"

// Tallies returns what an Admission counts, for tests to recount.
func (a *Admission) Tallies() (perOrigin map[string]int, perAddress map[netip.Addr]int, perSubject map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.perOrigin, a.perAddress, a.perSubject
}
