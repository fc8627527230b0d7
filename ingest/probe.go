package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// Ways in which a Redis server answers but does not work for the service.
var (
	// ErrReplica: messages published to a replica do not reach the subscribers of the
	// primary.
	ErrReplica = errors.New("the Redis server is a replica: receipts that are published there reach no producer; set REDIS_URL to the primary")
	// ErrSentinel: a Sentinel does not carry events.
	ErrSentinel = errors.New("REDIS_URL is the address of a Sentinel, which carries no events; set it to the primary")
	// ErrSubscribe: the user may not subscribe to the channel of events.
	ErrSubscribe = errors.New("the Redis user may not subscribe to " + messaging.EventsChannel + ": ACL SETUSER … &novel.realtime.* +subscribe")
	// ErrReceipts: messages published on the receipts channel do not arrive.
	ErrReceipts = errors.New("receipts do not reach the channel " + messaging.ReceiptsChannel + ", and producers repeat for ever: ACL SETUSER … &novel.realtime.* +subscribe +publish")
	// ErrPing: the user may not send the pings that detect a dead subscription.
	ErrPing = errors.New("the Redis user may not ping, and each subscription ends after seconds: ACL SETUSER … +ping")
)

// Exercise does what the service needs of a Redis server: it subscribes to the channels of
// events and receipts, publishes a canary on the channel of receipts, waits until the
// canary arrives, and sends a ping. Producers look for the ids of their events and ignore a
// message without one. text must be new each time and need no escaping in JSON.
//
// Exercise uses connections of its own, with the given options, and returns when ctx or
// timeout ends at the latest. The error is one of those above, or says why Redis accepts no
// connection.
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

// probeClient is a Redis client with one subscription, for one exercise.
type probeClient struct {
	client  *redis.Client
	pubsub  *redis.PubSub
	timeout time.Duration
	stop    func() bool
}

// newProbeClient returns a probeClient that connects when it is first used; close frees it.
// Cancelling ctx ends its connections.
func newProbeClient(ctx context.Context, options *redis.Options, timeout time.Duration) *probeClient {
	own := connectOptions(options)
	own.MaxRetries, own.PoolSize, own.MinIdleConns, own.Protocol = -1, 2, 0, 2
	client := redis.NewClient(own)
	p := &probeClient{client: client, pubsub: client.Subscribe(context.Background()), timeout: timeout}
	p.stop = context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) { // A deadline ends a read without this.
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

// end ends the connections. It may be called more than once.
func (p *probeClient) end() {
	_ = p.pubsub.Close()
	_ = p.client.Close()
}

// subscribe returns once the subscription is confirmed.
func (p *probeClient) subscribe(ctx context.Context, channel string) error {
	if err := p.pubsub.Subscribe(ctx, channel); err != nil {
		return err
	}
	for {
		received, err := p.pubsub.ReceiveTimeout(ctx, p.timeout)
		if err != nil {
			return err
		}
		if _, confirmed := received.(*redis.Subscription); confirmed { // Messages of other subscriptions may arrive first.
			return nil
		}
	}
}

// await returns once payload was received. It ignores other messages.
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

// checkRole returns an error if the server is a replica or a Sentinel. It returns nil if
// the server or the user's permissions do not allow the question.
func checkRole(ctx context.Context, client *redis.Client) error {
	hello, err := client.Do(ctx, "HELLO", "2").Slice()
	var refused redis.Error
	switch {
	case errors.As(err, &refused) && unreached(err) == nil: // The user may not run HELLO, or the server does not have it.
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

// refusedAs returns meaning for a refusal by Redis, which then has authenticated the user
// but does not permit the command. It explains any other error.
func refusedAs(meaning, err error) error {
	if explained := explain(err); unreached(err) != nil {
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
