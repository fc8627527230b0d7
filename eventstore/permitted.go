package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// ErrForbidden is matched when the user of the NATS connection lacks a permission that
// the service needs. A retry helps once somebody has granted it.
var ErrForbidden = errors.New("the permissions of the NATS user are too narrow")

// Needs says which parts of the service run, beside the log itself, as far as they need
// permissions of their own.
type Needs struct {
	// Consumers are those of the projections, which acknowledge what they have.
	Consumers bool
	// Sessions are the stored states of sockets.
	Sessions bool
	// Shares are the limits of all gateways together.
	Shares bool
}

// pongTimeout bounds the wait for the answer to one ping.
const pongTimeout = 3 * time.Second

// attempts bounds how often one permission is looked for while other messages of the
// connection are refused as well.
const attempts = 3

// permission is one line of the permissions of a NATS user.
type permission struct {
	line      string // as docs/ops/permissions.md has it
	subscribe bool   // or publish
	subject   string // one that the line allows, and that nobody uses
}

// String implements [fmt.Stringer].
func (p permission) String() string {
	if p.subscribe {
		return "subscribe to " + strconv.Quote(p.line)
	}
	return "publish to " + strconv.Quote(p.line)
}

// permissions returns what the service needs of the JetStream in a domain.
func permissions(domain string, needs Needs) []permission {
	name := nats.NewInbox()[len(nats.InboxPrefix):]
	own := func(prefix string) string { return prefix + "canary." + name }
	key := func(subject string) string { return jet.KeySubject(domain, subject) }
	needed := []permission{
		{"novel.>", false, own(layout.EventPrefix)},
		{"novel.>", false, own(layout.DeadLetterPrefix)},
		{"novel.>", false, own(layout.IdentityPrefix)},
		{"novel.>", false, own(layout.LivePrefix)},
		{"novel.>", false, own(layout.GatewaysPrefix)},
		{jet.APISubject(domain, ">"), false, jet.APISubject(domain, "STREAM.INFO.NOVEL_CANARY_"+name)},
		{"_INBOX.>", false, nats.InboxPrefix + name},
		{"novel.>", true, own(layout.LivePrefix)},
		{"novel.>", true, own(layout.ErasedPrefix)},
		{"novel.>", true, own(layout.ReplayPrefix)},
		{"novel.>", true, own(layout.FollowersPrefix)},
		{"novel.>", true, own(layout.GatewaysPrefix)},
		{"_INBOX.>", true, nats.InboxPrefix + name + ".*"},
	}
	if needs.Consumers {
		needed = append(needed, permission{"$JS.ACK.>", false, "$JS.ACK." + layout.EventStream + ".canary." + name})
	}
	if needs.Sessions {
		needed = append(needed, permission{key(layout.SessionPrefix + ">"), false, key(own(layout.SessionPrefix))})
	}
	if needs.Shares {
		needed = append(needed, permission{key("$KV." + layout.ShareBucket + ".>"), false, key(own("$KV." + layout.ShareBucket + "."))})
	}
	return needed
}

// Permitted finds out whether the user of a connection has the permissions that the
// service needs, by using each, and returns nil or an error that matches [ErrForbidden]
// and names each line that is missing. It leaves nothing behind: what a stream would
// take is sent under a condition that never holds.
func Permitted(ctx context.Context, conn *nats.Conn, domain string, needs Needs) error {
	_, err := permitted(ctx, conn, domain, needs)
	return err
}

// permitted also reports whether a subscription is forbidden.
func permitted(ctx context.Context, conn *nats.Conn, domain string, needs Needs) (subscriptions bool, err error) {
	needed := permissions(domain, needs)
	// The server answers a refused message with an error, and then the ping: without a
	// new error nothing was refused.
	if refused, err := refusal(ctx, conn, needed...); refused == nil || err != nil {
		return false, err
	}
	var missing []string
	for _, one := range needed {
		refused, err := refusal(ctx, conn, one)
		for n := 1; err == nil && refused != nil && !strings.Contains(refused.Error(), one.subject) && n < attempts; n++ {
			refused, err = refusal(ctx, conn, one) // Another message was refused meanwhile.
		}
		if err != nil {
			return false, err
		}
		if refused == nil || !strings.Contains(refused.Error(), one.subject) {
			continue
		}
		if text := one.String(); len(missing) == 0 || missing[len(missing)-1] != text {
			missing = append(missing, text)
		}
		subscriptions = subscriptions || one.subscribe
	}
	if len(missing) == 0 {
		return false, nil
	}
	return subscriptions, fmt.Errorf("%w: it may not %s: docs/ops/permissions.md has all that is needed", ErrForbidden, strings.Join(missing, ", or "))
}

// refusal uses permissions, and returns the last refusal that came while it did, of
// these or of other messages; nil when there was none.
func refusal(ctx context.Context, conn *nats.Conn, needed ...permission) (refused, err error) {
	before := conn.LastError()
	for _, one := range needed {
		if one.subscribe {
			sub, err := conn.SubscribeSync(one.subject)
			if err != nil {
				return nil, fmt.Errorf("subscribe to %s: %w", one.line, err)
			}
			defer func() { _ = sub.Unsubscribe() }() // Fails only without a connection, and then it is gone.
			continue
		}
		msg := &nats.Msg{Subject: one.subject, Header: nats.Header{jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(math.MaxInt64, 10)}}}
		if err := conn.PublishMsg(msg); err != nil {
			return nil, fmt.Errorf("publish to %s: %w", one.line, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pongTimeout)
	defer cancel()
	if err := conn.FlushWithContext(ctx); err != nil {
		return nil, fmt.Errorf("await the answer to a ping: %w", jet.Unavailable(err))
	}
	if after := conn.LastError(); after != before && errors.Is(after, nats.ErrPermissionViolation) {
		return after, nil
	}
	return nil, nil
}

// forbidden is what a log remembers of the permissions of its connection.
type forbidden struct {
	mu sync.Mutex // guards the fields below
	// seen is the refusal that was looked at last.
	seen error
	// subscriptions says that the server may have ended subscriptions of this process.
	subscriptions bool
}

// permitted checks whether the permissions suffice. When some were missing and are
// granted again, it reconnects both connections of the log: a server that takes
// permissions away from a live connection ends the subscriptions that they allowed, and
// does not resume them.
func (l *Log) permitted(ctx context.Context) error {
	f := &l.forbidden
	f.mu.Lock()
	if last := l.client.Conn.LastError(); last != f.seen && errors.Is(last, nats.ErrPermissionViolation) {
		f.seen = last
		f.subscriptions = f.subscriptions || strings.Contains(last.Error(), "Subscription")
	}
	f.mu.Unlock()
	subscriptions, err := permitted(ctx, l.client.Conn, l.cfg.Domain, l.cfg.Needs)
	f.mu.Lock()
	lost := f.subscriptions || subscriptions
	f.subscriptions = lost && err != nil
	f.mu.Unlock()
	if err != nil || !lost {
		return err
	}
	l.logger.Info("the NATS user has the permissions again: reconnecting, because the server has ended subscriptions")
	err = l.client.Conn.ForceReconnect()
	if l.client.Reads != l.client.Conn {
		err = errors.Join(err, l.client.Reads.ForceReconnect())
	}
	if err != nil {
		return fmt.Errorf("reconnect to NATS: %w", err)
	}
	// The exercise goes on over the new connection, or is made again.
	return nil
}
