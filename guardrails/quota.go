package guardrails

import (
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Quota decides how fast one socket may send. Its methods may be called
// concurrently.
//
// Invariant: a request that is refused, or would be but for a dry run, spends
// nothing.
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

// Change decides about one subscribe or unsubscribe, which has a rate of its own
// and is no message.
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
