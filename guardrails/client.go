package guardrails

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Subscribe decides whether a socket that follows current jobs may follow one
// more.
func (l Limits) Subscribe(current int) Decision {
	if current < l.MaxSubscriptionsPerClient {
		return allowed
	}
	return l.refuse(messaging.CodeSubscriptionLimitReached, l.MaxSubscriptionsPerClient, current)
}

// Namespace decides whether a connection that is in current namespaces may join
// one more.
func (l Limits) Namespace(current int) Decision {
	return l.oneMore(messaging.CodeNamespaceLimitReached, l.MaxNamespacesPerClient, current)
}

// Acknowledge decides whether a socket that owes pending acknowledgements may be
// asked for one more.
func (l Limits) Acknowledge(pending int) Decision {
	return l.oneMore(messaging.CodePendingAcksExceeded, l.MaxPendingAcksPerClient, pending)
}

// Payload decides about one message of a client, of this many bytes.
func (l Limits) Payload(bytes int) Decision {
	if l.MaxPayloadBytes == 0 || bytes <= l.MaxPayloadBytes {
		return allowed
	}
	return l.refuse(messaging.CodePayloadTooLarge, l.MaxPayloadBytes, bytes)
}

// Outgoing decides whether more bytes may be queued for a socket for which
// waiting bytes are queued. One message always may: a socket that takes what it
// is sent is never refused for the size of it.
func (l Limits) Outgoing(waiting, more int) Decision {
	if l.MaxOutgoingBytes == 0 || waiting == 0 || more <= l.MaxOutgoingBytes-waiting {
		return allowed
	}
	return l.refuse(messaging.CodeOutgoingBytesExceeded, l.MaxOutgoingBytes, waiting)
}

// Idle decides about a socket whose last sign of life was at last. It returns
// how long the socket may still stay silent; zero or less means that it has to
// go now. Without an idle timeout, running is false. A dry run changes neither:
// ask [Limits.Evict] when the time is over.
func (l Limits) Idle(now, last time.Time) (remaining time.Duration, running bool) {
	if l.IdleTimeout == 0 {
		return 0, false
	}
	return l.IdleTimeout - now.Sub(last), true
}

// Evict decides whether a socket whose last sign of life was at last may stay.
func (l Limits) Evict(now, last time.Time) Decision {
	if remaining, running := l.Idle(now, last); !running || remaining > 0 {
		return allowed
	}
	return l.refuse(messaging.CodeIdleTimeout, 0, 0)
}

// oneMore decides about one more of something there is current of. limit 0 is
// no limit.
func (l Limits) oneMore(code messaging.Code, limit, current int) Decision {
	if limit == 0 || current < limit {
		return allowed
	}
	return l.refuse(code, limit, current)
}
