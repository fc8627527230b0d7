package guardrails

import (
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Quota decides how fast one connection may send. Its methods may be called
// concurrently.
//
// Invariant: a request that is refused, or would be without the dry run, uses nothing.
type Quota struct {
	dryRun bool

	mu       sync.Mutex // guards messages and changes
	messages Bucket
	changes  Bucket
}

// NewQuota returns the quota of a socket that has sent nothing.
func NewQuota(limits Limits) *Quota {
	return &Quota{
		dryRun:   limits.DryRun,
		messages: limits.MessageRate().Bucket(),
		changes:  limits.SubscriptionRate().Bucket(),
	}
}

// Message decides about one message of any kind. jitter, in [0, 1), spreads the
// advised retry.
func (q *Quota) Message(now time.Time, jitter float64) Decision {
	return q.spend(messaging.CodeMessageRateExceeded, &q.messages, now, jitter)
}

// Change decides about one subscribe or unsubscribe request. These have a rate of their own
// and do not count as messages.
func (q *Quota) Change(now time.Time, jitter float64) Decision {
	return q.spend(messaging.CodeSubscriptionRateExceeded, &q.changes, now, jitter)
}

func (q *Quota) spend(code messaging.Code, bucket *Bucket, now time.Time, jitter float64) Decision {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait, ok := bucket.Take(now)
	if ok {
		return allowed
	}
	return Decision{Code: code, Limit: bucket.burst, Current: bucket.burst, RetryAfter: jittered(wait, jitter), DryRun: q.dryRun}
}

// owes returns how long it takes until the quota is full again if nothing is sent.
func (q *Quota) owes(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(q.messages.full.Sub(now), q.changes.full.Sub(now))
}

// Quotas hands out the quotas of connections. The usage of a connection that ends carries
// over to the next connection of the same owner, so that reconnecting does not renew the
// rates. Its methods may be called concurrently.
type Quotas struct {
	left returned[*Quota]
}

// NewQuotas returns a Quotas to which nothing was returned.
func NewQuotas() *Quotas { return &Quotas{left: newReturned[*Quota]()} }

// Take returns a quota under these limits for a connection of an owner. It starts with the
// usage of the owner's earlier connection that is furthest from full.
func (q *Quotas) Take(owner string, limits Limits, now time.Time) *Quota {
	quota := NewQuota(limits)
	if left, found := q.left.take(owner, now); found {
		left.mu.Lock()
		defer left.mu.Unlock()
		quota.messages.full, quota.changes.full = left.messages.full, left.changes.full
	}
	return quota
}

// Return takes the quota of a connection that has ended.
func (q *Quotas) Return(owner string, quota *Quota, now time.Time) { q.left.put(owner, quota, now) }
