package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// ConsumerState is how far a consumer of the log is.
type ConsumerState struct {
	// Floor is what [Log.ConsumerFloor] returns.
	Floor uint64
	// Pending is the number of records that are yet to be acknowledged.
	Pending uint64
	// InFlight counts those of them that a reader works on.
	InFlight int
	// OldestPending is when the log took the first record after the floor; zero
	// when there is none.
	OldestPending time.Time
	// Paused says that nothing is handed out until somebody resumes it, or for
	// PausedFor at most. PausedUntil is what the last maintain.Log.PauseConsumer said, by
	// which whoever paused it knows the pause again.
	Paused      bool
	PausedFor   time.Duration
	PausedUntil time.Time
}

// LongPaused reports whether the consumer is paused for longer than an operation that is
// under way pauses it.
func (s ConsumerState) LongPaused() bool { return s.Paused && s.PausedFor > longPause }

// LagSeconds returns the age of the oldest pending record, and 0 if none is pending.
func (s ConsumerState) LagSeconds() float64 {
	if s.OldestPending.IsZero() {
		return 0
	}
	return max(time.Since(s.OldestPending), 0).Seconds()
}

// ConsumerState asks the leaders of the stream and of the consumer. It returns
// [ErrNoConsumer] for one that never ran on this stream.
func (l *Log) ConsumerState(ctx context.Context, consumer string) (ConsumerState, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	// All by one answer: a floor of before the last acknowledgement beside a count of
	// after it would make a consumer at rest that stands elsewhere.
	info, floor, oldest, err := l.consumerFloor(ctx, consumer)
	if err != nil {
		return ConsumerState{}, err
	}
	state := ConsumerState{
		Floor:    floor,
		Pending:  info.NumPending + uint64(info.NumAckPending),
		InFlight: info.NumAckPending,
		Paused:   info.Paused, PausedFor: info.PauseRemaining,
		OldestPending: oldest,
	}
	if until := info.Config.PauseUntil; info.Paused && until != nil {
		state.PausedUntil = *until
	}
	return state, nil
}

// Behind returns the state of a consumer, and whether it ever ran. All of the log is the
// lag of one that never did.
func (l *Log) Behind(ctx context.Context, consumer string) (state ConsumerState, ran bool, err error) {
	state, err = l.ConsumerState(ctx, consumer)
	if !errors.Is(err, ErrNoConsumer) {
		return state, err == nil, err
	}
	request := jet.Request{Sequence: 1, Next: layout.EventPrefix + ">", Batch: 1}
	err = l.client.Batch(ctx, layout.EventStream, request, func(oldest jet.Message) {
		state = ConsumerState{Pending: oldest.Pending + 1, OldestPending: oldest.At}
	})
	if err != nil {
		return ConsumerState{}, false, fmt.Errorf("count the records of the log: %w", err)
	}
	return state, false, nil
}

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
	next, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: floor + 1, Next: layout.EventPrefix + ">"})
	switch {
	case err == nil:
		return info, next.Sequence - 1, next.At, nil
	case errors.Is(err, jet.ErrNotFound):
		return info, max(floor, state.Last), oldest, nil
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

func (l *Log) consumerInfo(ctx context.Context, name string) (*jetstream.ConsumerInfo, error) {
	consumer, err := l.client.JS.Consumer(ctx, layout.EventStream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, fmt.Errorf("%w: %q", ErrNoConsumer, name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up consumer %q: %w", name, jet.Unavailable(err))
	}
	return consumer.CachedInfo(), nil
}
