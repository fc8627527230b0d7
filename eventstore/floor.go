package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ConsumerFloor returns the sequence up to which the consumer has had everything
// acknowledged: each record of the log with a sequence of at most the floor is
// applied, and stays so. It returns [ErrNoConsumer] for one that never ran.
//
// The server's own floor is the last acknowledged sequence, which says nothing
// about sequences that hold no record for it: those before the first, and those
// that were purged. So the leader of the stream is asked for the next record
// after that floor: all before it is done. When there is none, all is done up to
// the last sequence given out before the question.
func (l *Log) ConsumerFloor(ctx context.Context, consumer string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	_, floor, _, err := l.consumerFloor(ctx, consumer)
	return floor, err
}

// consumerFloor returns what the server says of the consumer, the floor by that very
// answer, and when the log took the first record after it, zero when there is none.
func (l *Log) consumerFloor(ctx context.Context, consumer string) (info *jetstream.ConsumerInfo, floor uint64, oldest time.Time, err error) {
	state, err := l.State(ctx)
	if err != nil {
		return nil, 0, oldest, err
	}
	info, err = l.consumerInfo(ctx, consumer)
	if err != nil {
		return nil, 0, oldest, err
	}
	if outdated(info, state.Epoch) {
		return nil, 0, oldest, fmt.Errorf("%w: %q has one of an earlier epoch", ErrNoConsumer, consumer)
	}
	floor = info.AckFloor.Stream
	next, err := l.leader(ctx, eventStream, directRequest{Sequence: floor + 1, Next: eventPrefix + ">"})
	switch {
	case err == nil:
		return info, next.sequence - 1, next.at, nil
	case errors.Is(err, errNotFound):
		return info, max(floor, state.LastSequence), oldest, nil
	default:
		return nil, 0, oldest, fmt.Errorf("read the record after the floor of consumer %q: %w", consumer, err)
	}
}

// ConsumerFresh reports whether the consumer has had nothing acknowledged yet. It
// returns [ErrNoConsumer] for one that never ran.
func (l *Log) ConsumerFresh(ctx context.Context, consumer string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	info, err := l.consumerInfo(ctx, consumer)
	if err != nil {
		return false, err
	}
	return info.AckFloor.Consumer == 0, nil
}

// ConsumerLag returns how many records the consumer has yet to acknowledge. It
// returns [ErrNoConsumer] for one that never ran.
func (l *Log) ConsumerLag(ctx context.Context, consumer string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	info, err := l.consumerInfo(ctx, consumer)
	if err != nil {
		return 0, err
	}
	return info.NumPending + uint64(info.NumAckPending), nil
}

func (l *Log) consumerInfo(ctx context.Context, name string) (*jetstream.ConsumerInfo, error) {
	consumer, err := l.js.Consumer(ctx, eventStream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, fmt.Errorf("%w: %q", ErrNoConsumer, name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up consumer %q: %w", name, unavailable(err))
	}
	return consumer.CachedInfo(), nil
}
