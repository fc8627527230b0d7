package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/letswriteabook/realtime/messaging"
)

// errReconnect stops the Redis client from reconnecting by itself.
var errReconnect = errors.New("a subscription does not outlive its connection")

// openHeadTimeout is how long reading the head of the log may delay a SUBSCRIBE.
const openHeadTimeout = time.Second

// connection is one connection to Redis with one SUBSCRIBE to the events channel; both end
// together. Redis may refuse a second SUBSCRIBE, to the channels of the canaries.
//
// The Redis client reconnects and subscribes again by itself, in the middle of a read or a
// ping. Events lost meanwhile would not be counted, and the baseline would be wrong. Each
// connection therefore has a client of its own, whose dialer connects once.
type connection struct {
	client *redis.Client
	pubsub *redis.PubSub
	log    Log
	cfg    Config
	logger *slog.Logger
	// canaries are received on the same connection. unanswered counts their channels whose
	// subscription Redis has neither confirmed nor refused; it belongs to the goroutine that
	// calls open and receive.
	canaries   *canaries
	unanswered int
	// options are the caller's, whose dialer connects more than once.
	options *redis.Options
	// lastReceived is when anything last arrived, including the answer to a ping. It belongs
	// to the goroutine that calls open and receive.
	lastReceived time.Time

	connecting sync.Mutex // guards the fields below
	// dialed is true once the one connection was requested; conn is nil until it is
	// established.
	dialed bool
	closed bool
	conn   net.Conn

	asking sync.Mutex // guards the fields below; held while the head is read
	// head is the baseline, if it is known.
	head  uint64
	known bool
}

// newConnection returns a connection that open establishes and release frees.
func newConnection(options *redis.Options, log Log, canaries *canaries, cfg Config, logger *slog.Logger) *connection {
	c := &connection{log: log, canaries: canaries, cfg: cfg, logger: logger, options: options}
	own := connectOptions(options)
	dial := own.Dialer
	own.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.dialOnce(ctx, network, addr, dial)
	}
	// With RESP2 only messages and the answers to SUBSCRIBE and PING arrive on the
	// connection.
	own.Protocol = 2
	c.client = redis.NewClient(own)
	c.pubsub = c.client.Subscribe(context.Background()) // connects with the first channel
	return c
}

// open reads the head of the log, then connects, subscribes and waits for the confirmation.
// If the log does not answer in time, the gateway subscribes nevertheless, and baseline
// reads the head later.
func (c *connection) open(ctx context.Context) error {
	if _, err := c.baseline(ctx, openHeadTimeout); err != nil && ctx.Err() != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	if err := c.pubsub.Subscribe(ctx, messaging.EventsChannel); err != nil {
		return fmt.Errorf("subscribe to Redis: %w", ExplainOpening(ctx, err, c.options))
	}
	answer, err := c.pubsub.ReceiveTimeout(ctx, c.cfg.ConnectTimeout)
	if err != nil {
		return fmt.Errorf("await the confirmation of the subscription: %w", ExplainOpening(ctx, err, c.options))
	}
	if confirmed, ok := answer.(*redis.Subscription); !ok || confirmed.Kind != "subscribe" {
		return fmt.Errorf("await the confirmation of the subscription: got %T", answer)
	}
	c.lastReceived = time.Now()
	channels := c.canaries.channels()
	c.unanswered = len(channels)
	if err := c.pubsub.Subscribe(ctx, channels...); err != nil { // receive reads the answer.
		return fmt.Errorf("subscribe to Redis: %w", ExplainOpening(ctx, err, c.options))
	}
	return nil
}

// receive returns the next message; an error ends the connection.
func (c *connection) receive(ctx context.Context) (*redis.Message, error) {
	for {
		// A timeout in the middle of a message would leave its rest in the stream, so a
		// timeout also ends the connection.
		received, err := c.pubsub.ReceiveTimeout(ctx, c.cfg.PingInterval+c.cfg.PingTimeout)
		var timeout net.Error
		var refused redis.Error
		switch {
		case errors.As(err, &refused) && c.unanswered > 0: // Not the answer to a ping: pings are sent later, and answered in order.
			c.unanswered = 0
			if !c.canaries.refused.Swap(true) {
				c.logger.Info("the path of events from Redis to the log is not exercised: Redis refuses the subscription to "+canaryChannel, "error", err)
			}
			continue
		case errors.As(err, &timeout) && timeout.Timeout():
			return nil, fmt.Errorf("no message and no answer to a ping for %s: %w", c.cfg.PingInterval+c.cfg.PingTimeout, err)
		case err != nil:
			return nil, fmt.Errorf("receive from Redis: %w", err)
		}
		c.lastReceived = time.Now()
		switch received := received.(type) {
		case *redis.Message:
			return received, nil
		case *redis.Pong:
		case *redis.Subscription:
			if c.unanswered == 0 || received.Kind != "subscribe" {
				return nil, fmt.Errorf("receive from Redis: unexpected %s", received)
			}
			if c.unanswered--; c.unanswered == 0 {
				c.canaries.refused.Store(false)
			}
		default:
			return nil, fmt.Errorf("receive from Redis: unexpected %T", received)
		}
	}
}

// ping sends a ping every interval until ctx ends, so that something arrives regularly on a
// healthy connection. It closes the connection when a ping cannot be sent.
func (c *connection) ping(ctx context.Context) {
	ticker := time.NewTicker(c.cfg.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.pubsub.Ping(ctx); err != nil {
			c.close()
			return
		}
	}
}

// close ends the connection, so that a read or a ping under way fails at once. It may be
// called at any time, and more than once.
func (c *connection) close() {
	c.connecting.Lock()
	c.closed = true
	conn := c.conn
	c.connecting.Unlock()
	if conn != nil {
		// The client holds a lock while it connects, so close the connection itself.
		_ = conn.Close()
	}
}

// release frees the client. No read and no ping may be under way.
func (c *connection) release() {
	c.close()
	_ = c.pubsub.Close()
	_ = c.client.Close()
}

// restart clears the baseline, because the log has started its sequences again.
func (c *connection) restart() {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.head = 0
}

// baseline returns the head of the log from before the SUBSCRIBE. If the log did not answer
// then, baseline reads the head now: publishes that another gateway has stored since may be
// stored twice, but no publish is mistaken for an earlier one.
func (c *connection) baseline(ctx context.Context, timeout time.Duration) (uint64, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.known {
		return c.head, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	head, err := c.log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the head of the log: %w", err)
	}
	c.head, c.known = head, true
	return head, nil
}

// knownBaseline returns the baseline if it was read.
func (c *connection) knownBaseline() (head uint64, known bool) {
	if !c.asking.TryLock() { // The head is being read.
		return 0, false
	}
	defer c.asking.Unlock()
	return c.head, c.known
}

// dialOnce establishes the one network connection.
func (c *connection) dialOnce(ctx context.Context, network, addr string, dial dialer) (net.Conn, error) {
	c.connecting.Lock()
	again := c.dialed || c.closed
	c.dialed = true
	c.connecting.Unlock()
	if again {
		return nil, errReconnect
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.connecting.Lock()
	defer c.connecting.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, errReconnect
	}
	c.conn = conn
	return conn, nil
}

// dialer is the type of [redis.Options.Dialer].
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// connectOptions returns a copy of a client's options that respects deadlines, explains why
// a connection cannot be made, and dials once. It disables caching and pushed maintenance
// notices, for which the client would look up names before it connects.
func connectOptions(options *redis.Options) *redis.Options {
	own := *options
	own.ContextTimeoutEnabled = true
	own.Dialer, own.DialerRetries = Dialer(options), 1
	own.PushNotificationProcessor = nil
	own.ClientSideCache = nil
	own.ClientSideCacheConfig = nil
	own.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &own
}
