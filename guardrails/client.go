package guardrails

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Subscribe decides whether a socket that follows current jobs may follow one more.
func (l Limits) Subscribe(current int) Decision {
	if current < l.MaxSubscriptionsPerClient {
		return allowed
	}
	return l.refuse(messaging.CodeSubscriptionLimitReached, l.MaxSubscriptionsPerClient, current)
}

// Message decides about one message of a size in bytes.
func (l Limits) Message(sizeBytes int) Decision {
	if l.MaxMessageBytes == 0 || sizeBytes <= l.MaxMessageBytes {
		return allowed
	}
	return l.refuse(messaging.CodeMessageTooLarge, l.MaxMessageBytes, sizeBytes)
}

// Idle decides about a socket that was last active at last. It returns how long the socket
// may remain silent; zero or less means that it must be closed now. Without an idle
// timeout, running is false. A dry run does not affect the result: call [Limits.Evict] when
// the time is over.
func (l Limits) Idle(now, last time.Time) (remaining time.Duration, running bool) {
	if l.IdleTimeout == 0 {
		return 0, false
	}
	return l.IdleTimeout - now.Sub(last), true
}

// Evict decides whether a socket that was last active at last may stay.
func (l Limits) Evict(now, last time.Time) Decision {
	if remaining, running := l.Idle(now, last); !running || remaining > 0 {
		return allowed
	}
	return l.refuse(messaging.CodeIdleTimeout, 0, 0)
}

// oneMore decides about one more of what the code limits, of which there are current. A
// limit of 0 is no limit.
func (l Limits) oneMore(code messaging.Code, limit, current int) Decision {
	if limit == 0 || current < limit {
		return allowed
	}
	return l.refuse(code, limit, current)
}
