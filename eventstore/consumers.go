package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ConsumerState is how far a consumer of the log is.
type ConsumerState struct {
	// Floor is what [Log.ConsumerFloor] returns.
	Floor uint64
	// Pending is the number of records that are yet to be acknowledged.
	Pending uint64
	// InFlight counts those of them that somebody works on.
	InFlight int
	// OldestPending is when the log took the first record after the floor; zero
	// when there is none.
	OldestPending time.Time
	// Paused says that nothing is handed out until somebody resumes it, or for
	// PausedFor at most. PausedUntil is what the last [Log.PauseConsumer] said, by
	// which whoever paused it knows the pause again.
	Paused      bool
	PausedFor   time.Duration
	PausedUntil time.Time
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

// PauseConsumer keeps the consumer from handing out records until a time. What is
// in flight can still be acknowledged. A consumer that is paused can be paused
// anew, for longer or shorter.
func (l *Log) PauseConsumer(ctx context.Context, consumer string, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	_, err := l.js.PauseConsumer(ctx, eventStream, consumer, until)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = ErrNoConsumer
	}
	if err != nil {
		return fmt.Errorf("pause consumer %q: %w", consumer, unavailable(err))
	}
	return nil
}

// ResumeConsumer ends a pause. One that is not paused, or is not there, is left
// as it is.
func (l *Log) ResumeConsumer(ctx context.Context, consumer string) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	_, err := l.js.ResumeConsumer(ctx, eventStream, consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("resume consumer %q: %w", consumer, unavailable(err))
	}
	return nil
}

// ForgetConsumer removes the consumer, so that a [Log.Consume] of its name
// starts with the first record again. One that is not there is no error.
func (l *Log) ForgetConsumer(ctx context.Context, consumer string) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	err := l.js.DeleteConsumer(ctx, eventStream, consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("remove consumer %q: %w", consumer, unavailable(err))
	}
	return nil
}
