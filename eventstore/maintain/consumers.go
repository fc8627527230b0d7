package maintain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// PauseConsumer keeps the consumer from handing out records until a time. What is
// in flight can still be acknowledged. A consumer that is paused can be paused
// anew, for longer or shorter.
func (l *Log) PauseConsumer(ctx context.Context, consumer string, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	_, err := l.client.JS.PauseConsumer(ctx, layout.EventStream, consumer, until)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = eventstore.ErrNoConsumer
	}
	if err != nil {
		return fmt.Errorf("pause consumer %q: %w", consumer, jet.Unavailable(err))
	}
	return nil
}

// ResumeConsumer ends a pause. One that is not paused, or is not there, is left
// as it is.
func (l *Log) ResumeConsumer(ctx context.Context, consumer string) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	_, err := l.client.JS.ResumeConsumer(ctx, layout.EventStream, consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("resume consumer %q: %w", consumer, jet.Unavailable(err))
	}
	return nil
}

// ForgetConsumer removes the consumer, so that a [eventstore.Log.Consume] of its name
// starts with the first record again. One that is not there is no error.
func (l *Log) ForgetConsumer(ctx context.Context, consumer string) error {
	return l.client.ForgetConsumer(ctx, layout.EventStream, consumer)
}
