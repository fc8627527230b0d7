package publisher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// listenTimeout is how long the connection may be silent before a ping is sent; if it
	// stays silent for as long again, it is replaced.
	listenTimeout = 2 * time.Second
	// relistenMin is the pause after the first failed subscription. It grows by half with
	// each further failure, up to relistenMax, and varies by a quarter.
	relistenMin, relistenMax = 20 * time.Millisecond, 250 * time.Millisecond
)

// receive receives receipts until ctx ends, and reconnects when a connection fails. After
// each reconnection all waiting events are repeated, because receipts may be missing.
func (p *Publisher) receive(ctx context.Context) {
	pauses := backoff.ExponentialBackOff{InitialInterval: relistenMin, RandomizationFactor: 0.25, Multiplier: 1.5, MaxInterval: relistenMax}
	pauses.Reset()
	for ctx.Err() == nil {
		began := time.Now()
		subscription := p.redis.Subscribe(ctx, messaging.ReceiptsChannel)
		abort := context.AfterFunc(ctx, func() { _ = subscription.Close() }) // ends a pending read
		p.listen(ctx, subscription)
		abort()
		_ = subscription.Close() // it is broken, or no longer needed
		if p.subscribed.Swap(false) {
			p.since.Store(time.Now().UnixNano())
			if time.Since(began) >= relistenMax {
				pauses.Reset() // the connection had worked
			}
		}
		_ = wait.For(ctx, pauses.NextBackOff()) // the loop ends with ctx
		p.stir()                                // waiting events may be sent over HTTP
	}
}

// listen receives receipts from one connection until it fails.
func (p *Publisher) listen(ctx context.Context, subscription *redis.PubSub) {
	for pinged := false; ctx.Err() == nil; {
		message, err := subscription.ReceiveTimeout(ctx, listenTimeout)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && !pinged && p.subscribed.Load():
			if subscription.Ping(ctx) != nil {
				return
			}
			pinged = true
			continue
		case err != nil:
			return
		}
		pinged = false
		switch message := message.(type) {
		case *redis.Subscription:
			if p.subscribed.Swap(true) {
				return // the driver has replaced the connection
			}
			p.since.Store(time.Now().UnixNano())
			p.silent.Store(0)
			p.outbox.hurry(time.Now())
			p.stir()
		case *redis.Message:
			p.take(message.Payload)
		}
	}
}

// take handles a message of the receipts channel, which may concern an event of another
// producer. A message that is not valid, or not signed although [Config].ReceiptSecret is
// set, is counted and ignored.
func (p *Publisher) take(message string) {
	receipt, refusal, err := messaging.ReceiptKey(p.cfg.ReceiptSecret).Decode([]byte(message))
	switch {
	case errors.Is(err, messaging.ErrCanary):
	case err != nil:
		p.metrics.invalid.Inc()
	case refusal != nil:
		p.silent.Store(0)
		p.refused(eventKey{refusal.JobID, refusal.ID}, string(refusal.Reason), &messaging.Rejection{
			Reason: refusal.Reason, Detail: fmt.Sprintf("the log refuses the event with the id %q of the job %q", refusal.ID, refusal.JobID),
		})
	default:
		p.silent.Store(0)
		p.confirmed(receipt, viaRedis)
	}
}
