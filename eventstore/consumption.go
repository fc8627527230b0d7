package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// longPause is from which length on the pause of a consumer stands in the way: a swap and an
// erasure pause it for less, unless they were interrupted.
const longPause = 2 * time.Minute

// Consumption looks at a consumer again and again, and finds one that hands nothing on. It is
// used by one goroutine.
type Consumption struct {
	log      *Log
	consumer string
	// held is what stood in the way at the last look, empty when nothing did, since is for
	// how long it has, and at is how far the consumer was.
	held  string
	since time.Time
	at    consumed
}

// consumed is how far a consumer is: it changes whenever something is handed out or
// acknowledged.
type consumed struct {
	floor, delivered uint64
	inFlight         int
}

// Consumption returns what judges the consumer of a projection.
func (l *Log) Consumption(consumer string) *Consumption {
	return &Consumption{log: l, consumer: consumer}
}

// Exercise looks at the consumer. It returns an error that is [ErrReadersStalled] when, at each look
// for as long as patience, the consumer was missing, was paused for long, was not asked for
// its records by anybody, or had some and none was handed out or acknowledged; also while
// there are no records. A log that does not answer has an exercise of its own: then it
// returns nil.
func (c *Consumption) Exercise(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, c.log.cfg.ReadTimeout)
	defer cancel()
	info, err := c.log.consumerInfo(ctx, c.consumer)
	if err != nil && !errors.Is(err, ErrNoConsumer) {
		return nil
	}
	held, at := c.hold(info)
	now := time.Now()
	if held != c.held || at != c.at || held == "" {
		c.held, c.at, c.since = held, at, now
	}
	if held == "" || now.Sub(c.since) < patience {
		return nil
	}
	return fmt.Errorf("%w: the consumer %q %s", ErrReadersStalled, c.consumer, held)
}

// hold returns what keeps a consumer from handing on records, empty for nothing, and how far
// it is; info is nil for one that is missing.
func (c *Consumption) hold(info *jetstream.ConsumerInfo) (held string, at consumed) {
	if info == nil {
		return "is missing, and is not created again: see the limits of the stream and of the account", at
	}
	at = consumed{floor: info.AckFloor.Stream, delivered: info.Delivered.Consumer, inFlight: info.NumAckPending}
	switch {
	case info.Paused && info.PauseRemaining > longPause:
		return "is paused: realtime operations lists who has done so, or resume it with the tool that paused it", at
	case info.Paused: // A running operation pauses it for a short time, again and again.
		return "", at
	case info.NumAckPending > 0:
		return "has handed out records that nobody acknowledges: restart the gateways with the role project", at
	case info.NumWaiting == 0:
		return "is not asked for its records: restart the gateways with the role project", at
	case info.NumPending > 0:
		return "hands out none of the records that wait: restart the NATS server that leads it", at
	}
	return "", at
}

// InTurn has the goroutine of [Log.Consume] for a consumer call f once, between two batches:
// within a few seconds when no records wait, and after the batch that is being applied
// otherwise. It does not wait for that. An f that still waits is replaced.
func (l *Log) InTurn(consumer string, f func(ctx context.Context)) {
	l.turnsMu.Lock()
	defer l.turnsMu.Unlock()
	if l.turns == nil {
		l.turns = make(map[string]func(ctx context.Context))
	}
	l.turns[consumer] = f
}

// takeTurn calls the function that waits for the turn of a consumer, if there is one.
func (l *Log) takeTurn(ctx context.Context, consumer string) {
	l.turnsMu.Lock()
	f := l.turns[consumer]
	delete(l.turns, consumer)
	l.turnsMu.Unlock()
	if f != nil {
		f(ctx)
	}
}
