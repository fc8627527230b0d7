package projections

import (
	"sync/atomic"
	"time"
)

// breaker lets reads fail at once while MongoDB is away, but for one at a time
// that tries. Otherwise each reader waits for the timeout anew, and all of them
// together hold the driver's connections. It is safe for concurrent use.
type breaker struct {
	// trial is how long one try may take, retryAfter the pause after a failed
	// one.
	trial, retryAfter time.Duration
	start             time.Time
	// until is the time since start before which reads fail at once; zero while
	// MongoDB answers.
	until atomic.Int64
}

func newBreaker(trial, retryAfter time.Duration) *breaker {
	return &breaker{trial: trial, retryAfter: retryAfter, start: time.Now()}
}

// allow reports whether to try now. Whoever may must call settle.
func (b *breaker) allow() bool {
	until := b.until.Load()
	if until == 0 {
		return true
	}
	now := time.Since(b.start)
	// Who moves the mark on is the one that tries.
	return int64(now) >= until && b.until.CompareAndSwap(until, int64(now+b.trial))
}

// outcome is what a read says of MongoDB.
type outcome int

const (
	answered   outcome = iota
	unanswered         // it did not answer
	unknown            // the caller went away first
)

func (b *breaker) settle(o outcome) {
	switch o {
	case answered:
		b.until.Store(0)
	case unanswered:
		b.until.Store(int64(time.Since(b.start) + b.retryAfter))
	case unknown:
		// If it was the one that tried, the next one may.
		if until := b.until.Load(); until != 0 {
			b.until.CompareAndSwap(until, 1)
		}
	}
}
