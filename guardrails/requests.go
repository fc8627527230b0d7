package guardrails

import (
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Requests counts the requests over REST that a gateway is answering, and decides
// about new ones. Its methods may be called concurrently.
//
// Invariants: total is the sum over the clients, and no client has a count of zero. A
// refusal by a count uses nothing of the rate.
type Requests struct {
	mu        sync.Mutex // guards everything below, and released of every slot
	limits    Limits
	total     int
	perClient tally[string]
	// rates are the clients' rates. A client that is forgotten has a full one again.
	rates latest[Bucket]
}

// NewRequests returns a Requests with no request counted.
func NewRequests(limits Limits) *Requests {
	return &Requests{
		limits: limits, perClient: make(tally[string]), rates: newLatest[Bucket](),
	}
}

// SetLimits replaces the limits. Requests under way continue. If the rate changes, every
// client starts with a full one.
func (r *Requests) SetLimits(limits Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limits.RequestsPerMinute != r.limits.RequestsPerMinute {
		r.rates = newLatest[Bucket]()
	}
	r.limits = limits
}

// RequestSlot is the place of one request in the counts.
type RequestSlot struct {
	requests *Requests
	client   string
	released bool
}

// Release gives the slot back. Calls after the first do nothing.
func (s *RequestSlot) Release() {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	if s.released {
		return
	}
	s.released = true
	s.requests.total--
	s.requests.perClient.remove(s.client)
}

// Admit takes a slot for a request of a client, named as by [Visitor.Owner], or returns nil
// and the refusal. In a dry run there is always a slot. jitter, in [0, 1), spreads the
// advised retry.
func (r *Requests) Admit(client string, now time.Time, jitter float64) (*RequestSlot, Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	decision := r.decide(client, now, jitter)
	if !decision.Allowed() {
		return nil, decision
	}
	r.total++
	r.perClient.add(client)
	return &RequestSlot{requests: r, client: client}, decision
}

// decide is called with mu held.
func (r *Requests) decide(client string, now time.Time, jitter float64) Decision {
	l := r.limits
	d := l.oneMore(messaging.CodeMaxRequestsExceeded, l.MaxRequests, r.total)
	if d.Code == "" {
		d = l.oneMore(messaging.CodeClientRequestsExceeded, l.MaxRequestsPerClient, r.perClient[client])
	}
	if d.Code != "" {
		d.RetryAfter = jittered(retryBase, jitter)
		return d
	}
	if l.RequestsPerMinute == 0 {
		return allowed
	}
	bucket := r.rates.use(client, l.RequestRate().Bucket())
	if wait, ok := bucket.Take(now); !ok {
		d = l.refuse(messaging.CodeRequestRateExceeded, bucket.burst, bucket.burst)
		d.RetryAfter = jittered(max(wait, retryBase), jitter)
		return d
	}
	return allowed
}
