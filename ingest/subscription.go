package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/letswriteabook/realtime/messaging"
)

// errReconnect stops the Redis client from reconnecting behind the listener's
// back.
var errReconnect = errors.New("a subscription does not outlive its connection")

// openHeadTimeout is how long a log that does not answer may delay a SUBSCRIBE.
const openHeadTimeout = time.Second

// subscription is one SUBSCRIBE to the events channel and the connection under
// it: they end together.
//
// The Redis client would rather connect and subscribe again by itself, in the
// middle of a read or a ping. Events lost meanwhile would go unnoticed, and the
// baseline would be wrong. So each subscription has a client of its own, whose
// dialer connects once.
type subscription struct {
	client *redis.Client
	pubsub *redis.PubSub
	log    Log
	cfg    Config
	// heard is when anything came last, an answer to a ping too. It belongs to
	// whoever calls open and receive.
	heard time.Time

	connecting sync.Mutex // guards the fields below
	// dialed says that the one connection was asked for; conn is nil until it is
	// there.
	dialed bool
	closed bool
	conn   net.Conn

	asking sync.Mutex // guards the fields below, and is held while the log is asked
	// head is the baseline, if it is known.
	head  uint64
	known bool
}

// newSubscription prepares a subscription; open makes it, close frees it.
func newSubscription(options *redis.Options, log Log, cfg Config) *subscription {
	s := &subscription{log: log, cfg: cfg}
	own := connectOptions(options)
	own.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return s.dialOnce(ctx, network, addr, options.Dialer)
	}
	// Plain RESP2: nothing but the answers to SUBSCRIBE and PING, and messages,
	// arrives on the connection.
	own.Protocol = 2
	s.client = redis.NewClient(own)
	s.pubsub = s.client.Subscribe(context.Background()) // connects with the first channel
	return s
}

// open asks the log for its head, then connects, subscribes and waits for the
// confirmation. A log that does not answer in time does not keep the gateway
// from listening: baseline asks again.
func (s *subscription) open(ctx context.Context) error {
	if _, err := s.baseline(ctx, openHeadTimeout); err != nil && ctx.Err() != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	if err := s.pubsub.Subscribe(ctx, messaging.EventsChannel); err != nil {
		return fmt.Errorf("subscribe to Redis: %w", err)
	}
	answer, err := s.pubsub.ReceiveTimeout(ctx, s.cfg.ConnectTimeout)
	if err != nil {
		return fmt.Errorf("await the confirmation of the subscription: %w", err)
	}
	if confirmed, ok := answer.(*redis.Subscription); !ok || confirmed.Kind != "subscribe" {
		return fmt.Errorf("await the confirmation of the subscription: got %T", answer)
	}
	s.heard = time.Now()
	return nil
}

// receive returns the next payload; an error ends the subscription.
func (s *subscription) receive(ctx context.Context) (string, error) {
	for {
		// A timeout in the middle of a message would leave its rest in the
		// stream, so a timeout too is final.
		received, err := s.pubsub.ReceiveTimeout(ctx, s.cfg.PingInterval+s.cfg.PingTimeout)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return "", fmt.Errorf("no message and no answer to a ping for %s: %w", s.cfg.PingInterval+s.cfg.PingTimeout, err)
		case err != nil:
			return "", fmt.Errorf("receive from Redis: %w", err)
		}
		s.heard = time.Now()
		switch received := received.(type) {
		case *redis.Message:
			return received.Payload, nil
		case *redis.Pong:
		default:
			return "", fmt.Errorf("receive from Redis: unexpected %T", received)
		}
	}
}

// ping sends a ping every interval until ctx ends, so that a healthy connection
// is never silent for long. It closes the subscription when one cannot be sent.
func (s *subscription) ping(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.pubsub.Ping(ctx); err != nil {
			s.close()
			return
		}
	}
}

// close ends the subscription: whoever reads or pings gets an error at once. It
// may be called at any time, and again.
func (s *subscription) close() {
	s.connecting.Lock()
	s.closed = true
	conn := s.conn
	s.connecting.Unlock()
	if conn != nil {
		// Not through the client, which holds a lock while it connects.
		_ = conn.Close()
	}
}

// release frees what close leaves, once nobody uses the subscription's
// connection any more.
func (s *subscription) release() {
	s.close()
	_ = s.pubsub.Close()
	_ = s.client.Close()
}

// restart drops the baseline, because the log gives out its sequences anew.
func (s *subscription) restart() {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.head = 0
}

// baseline returns the log's head from before the SUBSCRIBE. If the log did not
// answer then, it is asked now: publishes that another gateway has stored since
// may then be stored again, but none is taken for an earlier one.
func (s *subscription) baseline(ctx context.Context, timeout time.Duration) (uint64, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.known {
		return s.head, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	head, err := s.log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the head of the log: %w", err)
	}
	s.head, s.known = head, true
	return head, nil
}

// dialOnce makes the subscription's one connection.
func (s *subscription) dialOnce(ctx context.Context, network, addr string, dial dialer) (net.Conn, error) {
	s.connecting.Lock()
	again := s.dialed || s.closed
	s.dialed = true
	s.connecting.Unlock()
	if again {
		return nil, errReconnect
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s.connecting.Lock()
	defer s.connecting.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, errReconnect
	}
	s.conn = conn
	return conn, nil
}

// dialer is the form of [redis.Options.Dialer].
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// connectOptions returns a copy of a client's options that keeps to deadlines
// and leaves out what the client adds unasked: pushed maintenance notices, for
// which it would look up names before it connects, and caching.
func connectOptions(options *redis.Options) *redis.Options {
	own := *options
	own.ContextTimeoutEnabled = true
	own.PushNotificationProcessor = nil
	own.ClientSideCache = nil
	own.ClientSideCacheConfig = nil
	own.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &own
}
