package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// maxBatch bounds the events of one round trip to Redis.
	maxBatch = 256
	// redisTimeout bounds one round trip.
	redisTimeout = 3 * time.Second
	// patientAttempts is the number of failed attempts after which an event is also
	// sent over HTTP while other events are confirmed: there a refusal has an answer.
	patientAttempts = 5
)

// deliver sends the first event of each job when its next attempt is due, until ctx ends.
func (p *Publisher) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		batch, wait := p.outbox.due(time.Now(), maxBatch)
		if len(batch) > 0 {
			p.send(ctx, batch)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// send makes one attempt of each event.
func (p *Publisher) send(ctx context.Context, batch []*entry) {
	var published []*entry
	for _, e := range batch {
		if e.attempts > 1 {
			p.metrics.repeats.Inc()
		}
		switch {
		case e.overdue(time.Now(), p.cfg.GiveUpAfter):
			p.refused(e.key(), "given-up", fmt.Errorf("%w within %s: id %q", ErrGivenUp, p.cfg.GiveUpAfter, e.id))
		case p.http != nil && p.prefersHTTP(e, time.Now()) && p.post(ctx, e):
		case p.subscribed.Load():
			published = append(published, e)
		default:
			p.later(e, 0) // the publisher would miss its receipt
		}
	}
	if len(published) > 0 {
		p.publish(ctx, published)
	}
}

// publish sends events on Redis in one round trip.
func (p *Publisher) publish(ctx context.Context, batch []*entry) {
	sending, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	listeners := make([]*redis.IntCmd, len(batch))
	// The error is that of the first command that failed; each command has its own below.
	_, _ = p.redis.Pipelined(sending, func(pipe redis.Pipeliner) error {
		for i, e := range batch {
			listeners[i] = pipe.Publish(sending, messaging.EventsChannel, e.body)
		}
		return nil
	})
	p.silent.CompareAndSwap(0, time.Now().UnixNano())
	for i, e := range batch {
		if listeners[i].Err() != nil || listeners[i].Val() == 0 {
			p.later(e, 0) // no subscriber received it, so no receipt will arrive
			continue
		}
		e.sent(time.Now())
		p.later(e, p.cfg.ReceiptTimeout)
	}
	p.metrics.attempts.WithLabelValues(viaRedis).Add(float64(len(batch)))
}

// later schedules the next attempt.
func (p *Publisher) later(e *entry, atLeast time.Duration) { p.outbox.again(e, time.Now(), atLeast) }

// prefersHTTP reports whether the next attempt of an event is over HTTP.
func (p *Publisher) prefersHTTP(e *entry, now time.Time) bool {
	past := func(nanoseconds int64) bool { return now.Sub(time.Unix(0, nanoseconds)) >= p.cfg.FallbackAfter }
	if !p.subscribed.Load() {
		return past(p.since.Load())
	}
	if silent := p.silent.Load(); silent != 0 && past(silent) {
		return e.attempts%2 == 0 // every other attempt tests whether receipts arrive again
	}
	return e.attempts > patientAttempts && e.attempts%2 == 0
}
