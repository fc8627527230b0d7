package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrNoReceipt is returned when no gateway has confirmed an event in time. The
// event may or may not be stored; publishing it again under the same id is safe.
var ErrNoReceipt = errors.New("no receipt from any gateway")

// repeatInterval is how long a publisher waits for a receipt before it publishes
// the event again.
const repeatInterval = time.Second

// Publisher publishes events and waits until each is in the log. Its methods are
// for one goroutine.
type Publisher struct {
	redis    *redis.Client
	receipts *redis.PubSub
	arrived  <-chan *redis.Message
}

// NewPublisher subscribes to the receipts, so that none can be missed.
func NewPublisher(ctx context.Context, client *redis.Client) (*Publisher, error) {
	receipts := client.Subscribe(ctx, messaging.ReceiptsChannel)
	if _, err := receipts.Receive(ctx); err != nil {
		_ = receipts.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", messaging.ReceiptsChannel, err)
	}
	return &Publisher{redis: client, receipts: receipts, arrived: receipts.Channel()}, nil
}

// Close ends the subscription to the receipts.
func (p *Publisher) Close() error { return p.receipts.Close() }

// Publish publishes an event, which must have an id, and returns its receipt. It
// repeats the event until then, or until ctx ends, when the error matches
// [ErrNoReceipt].
func (p *Publisher) Publish(ctx context.Context, id string, body []byte) (messaging.Receipt, error) {
	repeat := time.NewTicker(repeatInterval)
	defer repeat.Stop()
	for {
		listeners, err := p.redis.Publish(ctx, messaging.EventsChannel, body).Result()
		if err != nil && ctx.Err() == nil {
			return messaging.Receipt{}, fmt.Errorf("publish on %s: %w", messaging.EventsChannel, err)
		}
		receipt, err := p.await(ctx, id, repeat.C)
		if err == nil {
			return receipt, nil
		}
		if ctx.Err() != nil {
			return messaging.Receipt{}, fmt.Errorf("%w for id %q (%d subscribers on %s)", ErrNoReceipt, id, listeners, messaging.EventsChannel)
		}
	}
}

// await returns the receipt of an id, or [ErrNoReceipt] at the next tick.
func (p *Publisher) await(ctx context.Context, id string, tick <-chan time.Time) (messaging.Receipt, error) {
	for {
		select {
		case <-ctx.Done():
			return messaging.Receipt{}, ctx.Err()
		case <-tick:
			return messaging.Receipt{}, ErrNoReceipt
		case message, open := <-p.arrived:
			if !open {
				return messaging.Receipt{}, ErrNoReceipt
			}
			var receipt messaging.Receipt
			if json.Unmarshal([]byte(message.Payload), &receipt) == nil && receipt.ID == id {
				return receipt, nil
			}
		}
	}
}
