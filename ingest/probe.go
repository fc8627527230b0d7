package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// The ways in which a Redis answers and does not do what is needed.
var (
	// ErrReplica: what is published to a replica reaches no subscriber of the primary.
	ErrReplica = errors.New("the Redis server is a replica: receipts that are published there reach no producer; set REDIS_URL to the primary")
	// ErrSentinel: a Sentinel carries no events.
	ErrSentinel = errors.New("REDIS_URL is the address of a Sentinel, which carries no events; set it to the primary")
	// ErrSubscribe: the user may not subscribe to what workers publish.
	ErrSubscribe = errors.New("the Redis user may not subscribe to " + messaging.EventsChannel + ": ACL SETUSER … &novel.realtime.* +subscribe")
	// ErrReceipts: what is published on the receipts channel does not arrive.
	ErrReceipts = errors.New("receipts do not reach the channel " + messaging.ReceiptsChannel + ", and producers repeat for ever: ACL SETUSER … &novel.realtime.* +subscribe +publish")
	// ErrPing: a subscription is pinged, so that a dead one is noticed.
	ErrPing = errors.New("the Redis user may not ping, and each subscription ends after seconds: ACL SETUSER … +ping")
)

// Exercise does what the service needs of the Redis of a client: it subscribes to the
// channels of events and receipts, publishes a canary on that of receipts, waits until it
// comes back, and pings. Producers, who look for the ids of their events, pass over a
// message without one. text is new each time, and must need no escaping in JSON.
//
// It connects for itself, with the client's options, and returns within ctx or
// timeout. The error is one of those above, or says why Redis takes no connection, as
// [Explain] does.
func Exercise(ctx context.Context, options *redis.Options, text string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	probe := newProbeClient(ctx, options, timeout)
	defer probe.close()
	if err := checkRole(ctx, probe.client); err != nil {
		return err
	}
	for _, channel := range []struct {
		name    string
		refused error
	}{{messaging.EventsChannel, ErrSubscribe}, {messaging.ReceiptsChannel, ErrReceipts}} {
		if err := probe.subscribe(ctx, channel.name); err != nil {
			return refusedAs(channel.refused, err)
		}
	}
	canary := canaryMessage(text)
	if err := probe.client.Publish(ctx, messaging.ReceiptsChannel, canary).Err(); err != nil {
		return refusedAs(ErrReceipts, err)
	}
	if err := probe.await(ctx, canary); err != nil {
		return refusedAs(ErrReceipts, err)
	}
	if err := probe.client.Ping(ctx).Err(); err != nil {
		return refusedAs(ErrPing, err)
	}
	return nil
}

// probeClient is a client of Redis with one subscription, for one exercise.
type probeClient struct {
	client  *redis.Client
	pubsub  *redis.PubSub
	timeout time.Duration
	stop    func() bool
}

// newProbeClient returns one that connects with the first use; close frees it. What it waits
// for ends when ctx is cancelled.
func newProbeClient(ctx context.Context, options *redis.Options, timeout time.Duration) *probeClient {
	own := connectOptions(options)
	own.MaxRetries, own.PoolSize, own.MinIdleConns, own.Protocol = -1, 2, 0, 2
	client := redis.NewClient(own)
	p := &probeClient{client: client, pubsub: client.Subscribe(context.Background()), timeout: timeout}
	p.stop = context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) { // A read ends with its deadline by itself.
			p.end()
		}
	})
	return p
}

// close ends the connections.
func (p *probeClient) close() {
	p.stop()
	p.end()
}

// end ends the connections. Nothing is lost with them. It may be called again.
func (p *probeClient) end() {
	_ = p.pubsub.Close()
	_ = p.client.Close()
}

// subscribe returns once a subscription is confirmed.
func (p *probeClient) subscribe(ctx context.Context, channel string) error {
	if err := p.pubsub.Subscribe(ctx, channel); err != nil {
		return err
	}
	for {
		received, err := p.pubsub.ReceiveTimeout(ctx, p.timeout)
		if err != nil {
			return err
		}
		if _, confirmed := received.(*redis.Subscription); confirmed { // Messages come in between.
			return nil
		}
	}
}

// await returns once a message was received, and passes over others.
func (p *probeClient) await(ctx context.Context, payload string) error {
	for {
		received, err := p.pubsub.ReceiveTimeout(ctx, p.timeout)
		if err != nil {
			return err
		}
		if message, ok := received.(*redis.Message); ok && message.Payload == payload {
			return nil
		}
	}
}

// checkRole tells a primary from a replica and from a Sentinel, as far as the server
// and the user's rights allow it.
func checkRole(ctx context.Context, client *redis.Client) error {
	hello, err := client.Do(ctx, "HELLO", "2").Slice()
	var refused redis.Error
	switch {
	case errors.As(err, &refused) && unreached(err) == nil: // Not allowed, or a server that does not know it.
		return nil
	case err != nil:
		return fmt.Errorf("ask Redis for its role: %w", ExplainOpening(ctx, err, client.Options()))
	}
	for i := 0; i+1 < len(hello); i += 2 {
		switch fmt.Sprint(hello[i], "=", hello[i+1]) {
		case "role=replica", "role=slave":
			return ErrReplica
		case "mode=sentinel":
			return ErrSentinel
		}
	}
	return nil
}

// refusedAs returns what a refusal by Redis means: the user is known, and may not do what
// it was asked for. Any other error is explained.
func refusedAs(meaning, err error) error {
	if explained := Explain(err); unreached(err) != nil {
		return fmt.Errorf("exercise Redis: %w", explained)
	}
	var refused redis.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("%w (%w)", meaning, err)
	}
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(meaning, ErrReceipts) {
		return fmt.Errorf("%w (%w)", meaning, err)
	}
	return fmt.Errorf("exercise Redis: %w", err)
}
