package guardrails

import (
	"fmt"
	"time"
)

// Limits are the bounds a gateway enforces. A zero count or duration switches
// that limit off, except MaxSubscriptionsPerClient, which is at least 1.
type Limits struct {
	// MaxConnections bounds the sockets of the whole gateway.
	MaxConnections int
	// MaxConnectionsPerOrigin bounds the sockets that share an Origin header.
	MaxConnectionsPerOrigin int
	// MaxSubscriptionsPerClient bounds the distinct jobs of one socket.
	MaxSubscriptionsPerClient int
	// IdleTimeout is how long a socket may stay silent.
	IdleTimeout time.Duration
}

// DefaultLimits returns the contract's defaults: no bound on connections, 20
// jobs per socket, five minutes of silence.
func DefaultLimits() Limits {
	return Limits{MaxSubscriptionsPerClient: 20, IdleTimeout: 5 * time.Minute}
}

// Validate names the first field that is out of its range.
func (l Limits) Validate() error {
	switch {
	case l.MaxConnections < 0:
		return fmt.Errorf("MaxConnections is %d: want 0 (no limit) or more", l.MaxConnections)
	case l.MaxConnectionsPerOrigin < 0:
		return fmt.Errorf("MaxConnectionsPerOrigin is %d: want 0 (no limit) or more", l.MaxConnectionsPerOrigin)
	case l.MaxSubscriptionsPerClient < 1:
		return fmt.Errorf("MaxSubscriptionsPerClient is %d: want 1 or more", l.MaxSubscriptionsPerClient)
	case l.IdleTimeout < 0:
		return fmt.Errorf("IdleTimeout is %s: want 0 (off) or more", l.IdleTimeout)
	}
	return nil
}

// Subscribe decides whether a socket that follows current jobs may follow one
// more.
func (l Limits) Subscribe(current int) Decision {
	if current < l.MaxSubscriptionsPerClient {
		return allowed
	}
	return refused(codeSubscriptions, l.MaxSubscriptionsPerClient, current)
}

// Idle decides about a socket whose last sign of life was at last. It returns
// how long the socket may still stay silent; zero or less means that it has to
// go now. Without an idle timeout, running is false.
func (l Limits) Idle(now, last time.Time) (remaining time.Duration, running bool) {
	if l.IdleTimeout == 0 {
		return 0, false
	}
	return l.IdleTimeout - now.Sub(last), true
}
