package guardrails

import (
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Limits are the bounds a gateway enforces. A zero count, size or duration
// switches that limit off, except MaxSubscriptionsPerClient, which is at least 1.
type Limits struct {
	// MaxConnections bounds the sockets of the whole gateway.
	MaxConnections int
	// MaxConnectionsPerOrigin bounds the sockets that share an Origin header.
	MaxConnectionsPerOrigin int
	// MaxConnectionsPerAddress bounds the sockets that share an IPv4 address or
	// an IPv6 /64, which is what one IPv6 customer is given.
	MaxConnectionsPerAddress int
	// MaxConnectionsPerSubject bounds the sockets of one token subject.
	MaxConnectionsPerSubject int
	// MaxClusterConnections and MaxClusterConnectionsPerOrigin are the same bounds over all
	// gateways, as far as [Admission.Others] reports them.
	MaxClusterConnections          int
	MaxClusterConnectionsPerOrigin int
	// ConnectionsPerSecond bounds how fast sockets are admitted, on average. A
	// whole second's worth may arrive at once.
	ConnectionsPerSecond int

	// MaxSubscriptionsPerClient bounds the distinct jobs of one socket.
	MaxSubscriptionsPerClient int
	// SubscriptionChangesPerMinute bounds how often one socket subscribes and
	// unsubscribes, on average. A whole minute's worth may come at once, as it
	// does when a client reconnects and follows its jobs again.
	SubscriptionChangesPerMinute int
	// MessagesPerSecond bounds what one socket sends, on average. A whole second's
	// worth may arrive at once.
	MessagesPerSecond int

	// MaxMessageBytes bounds one message of a client: the name of the event and
	// its arguments, in bytes.
	MaxMessageBytes int
	// BytesPerSecond is how fast one connection is read from, on average; ByteBurst,
	// how many bytes it may send at once, 0 being one second's worth.
	BytesPerSecond int
	ByteBurst      int

	// MaxRequests bounds the requests over REST that are being answered, in all, and
	// MaxRequestsPerClient those of one client: a subject, or without tokens an
	// address.
	MaxRequests          int
	MaxRequestsPerClient int
	// RequestsPerMinute bounds how often one client sends them, on average. What ten
	// seconds give may come at once.
	RequestsPerMinute int

	// IdleTimeout is how long a socket may stay silent.
	IdleTimeout time.Duration

	// DryRun allows every request that exceeds a limit and marks it with [Decision.DryRun].
	// Origins and grants are not limits and still refuse.
	DryRun bool
}

// Validate returns an error that names the first field out of range.
func (l Limits) Validate() error {
	counts := []struct {
		field string
		value int
	}{
		{"MaxConnections", l.MaxConnections},
		{"MaxConnectionsPerOrigin", l.MaxConnectionsPerOrigin},
		{"MaxConnectionsPerAddress", l.MaxConnectionsPerAddress},
		{"MaxConnectionsPerSubject", l.MaxConnectionsPerSubject},
		{"MaxClusterConnections", l.MaxClusterConnections},
		{"MaxClusterConnectionsPerOrigin", l.MaxClusterConnectionsPerOrigin},
		{"ConnectionsPerSecond", l.ConnectionsPerSecond},
		{"SubscriptionChangesPerMinute", l.SubscriptionChangesPerMinute},
		{"MessagesPerSecond", l.MessagesPerSecond},
		{"MaxMessageBytes", l.MaxMessageBytes},
		{"BytesPerSecond", l.BytesPerSecond},
		{"ByteBurst", l.ByteBurst},
		{"MaxRequests", l.MaxRequests},
		{"MaxRequestsPerClient", l.MaxRequestsPerClient},
		{"RequestsPerMinute", l.RequestsPerMinute},
	}
	for _, count := range counts {
		if count.value < 0 {
			return fmt.Errorf("%s is %d: want 0 (no limit) or more", count.field, count.value)
		}
	}
	rates := []struct {
		field string
		rate  Rate
	}{
		{"ConnectionsPerSecond", l.ConnectionRate()},
		{"SubscriptionChangesPerMinute", l.SubscriptionRate()},
		{"MessagesPerSecond", l.MessageRate()},
		{"RequestsPerMinute", l.RequestRate()},
	}
	for _, r := range rates {
		if err := r.rate.Validate(); err != nil {
			return fmt.Errorf("%s: %w", r.field, err)
		}
	}
	switch {
	case l.MaxSubscriptionsPerClient < 1:
		return fmt.Errorf("MaxSubscriptionsPerClient is %d: want 1 or more", l.MaxSubscriptionsPerClient)
	case l.ByteBurst > 0 && l.BytesPerSecond == 0:
		return fmt.Errorf("ByteBurst is %d without BytesPerSecond: want both", l.ByteBurst)
	case l.IdleTimeout < 0:
		return fmt.Errorf("IdleTimeout is %s: want 0 (off) or more", l.IdleTimeout)
	}
	return nil
}

// ConnectionRate is how fast a gateway admits sockets.
func (l Limits) ConnectionRate() Rate {
	return Rate{PerSecond: float64(l.ConnectionsPerSecond)}
}

// MessageRate is how fast one socket may send.
func (l Limits) MessageRate() Rate {
	return Rate{PerSecond: float64(l.MessagesPerSecond)}
}

// SubscriptionRate is how fast one socket may subscribe and unsubscribe.
func (l Limits) SubscriptionRate() Rate {
	return Rate{PerSecond: float64(l.SubscriptionChangesPerMinute) / 60, Burst: l.SubscriptionChangesPerMinute}
}

// RequestRate is how fast one client may send requests over REST.
func (l Limits) RequestRate() Rate {
	if l.RequestsPerMinute == 0 {
		return Rate{}
	}
	return Rate{PerSecond: float64(l.RequestsPerMinute) / 60, Burst: max(l.RequestsPerMinute/6, 1)}
}

// refuse returns the refusal, or in a dry run a decision that allows and marks the request.
func (l Limits) refuse(code messaging.Code, limit, current int) Decision {
	return Decision{Code: code, Limit: limit, Current: current, DryRun: l.DryRun}
}
