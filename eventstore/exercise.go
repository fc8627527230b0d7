package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

const (
	canarySubject = layout.IdentityPrefix + "canary"
	// canaryLetter is a subject of the dead letters that is no reason's.
	canaryLetter = layout.DeadLetterPrefix + "canary.probe"
	// canaryJob is a subject of the events that is no job's: a job's token has no dot.
	canaryJob = layout.EventPrefix + "canary.probe"
	// liveCanary is where this process listens for what it publishes there.
	liveCanary = layout.LivePrefix + "canary."
)

// Exercise does what the service needs of NATS, with a text that is new each time,
// and leaves no event behind:
//
//   - a message under each permission of the NATS user that is needed,
//   - an append to the event stream, and one to the dead letters, under a condition that
//     never holds, so that the stream takes it, judges it and refuses it,
//   - an append to the identity stream, which is stored as an event is,
//   - a message on a subject below novel.live, which comes back on a subscription.
//
// The error names what failed.
func (l *Log) Exercise(ctx context.Context, text string) error {
	if err := l.connected(); err != nil {
		return err
	}
	if err := l.permitted(ctx); err != nil {
		return err
	}
	failed := l.exercise(ctx, text)
	if !errors.Is(failed, ErrForbidden) {
		return failed
	}
	// A permission was taken away after the check above: name it.
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), pongTimeout)
	defer cancel()
	if err := l.permitted(again); errors.Is(err, ErrForbidden) {
		return err
	}
	return failed
}

// exercise appends, and publishes to itself.
func (l *Log) exercise(ctx context.Context, text string) error {
	for _, stream := range []struct{ name, subject string }{{layout.EventStream, canaryJob}, {layout.DeadLetterStream, canaryLetter}} {
		_, err := l.client.JS.PublishMsg(ctx, &nats.Msg{Subject: stream.subject, Data: []byte(text)},
			jetstream.WithExpectLastSequence(math.MaxInt64), jetstream.WithRetryAttempts(0))
		if !jet.HasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jet.CodeWrongLastSequence) {
			if err == nil {
				err = errors.New("it took what it had to refuse")
			}
			return fmt.Errorf("append to stream %s: %w", stream.name, l.explain(err))
		}
	}
	if err := l.StoreCanary(ctx, text); err != nil {
		return err
	}
	subject := liveCanary + nats.NewInbox()[len(nats.InboxPrefix):]
	sub, err := l.client.Conn.SubscribeSync(subject)
	if err != nil {
		return fmt.Errorf("subscribe to %s>: %w", layout.LivePrefix, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // Fails only without a connection, and then it is gone.
	if err := l.client.Conn.Publish(subject, []byte(text)); err != nil {
		return fmt.Errorf("publish to %s>: %w", layout.LivePrefix, err)
	}
	back, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return fmt.Errorf("receive what was published to %s>: %w", layout.LivePrefix, l.explain(err))
	}
	if string(back.Data) != text {
		return fmt.Errorf("receive what was published to %s>: got another text", layout.LivePrefix)
	}
	return nil
}

// StoreCanary appends a text that is no event to the identity stream, in one attempt. The
// stream holds the newest [layout.IdentityHistory] of all processes.
func (l *Log) StoreCanary(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AckTimeout)
	defer cancel()
	_, err := l.client.JS.PublishMsg(ctx, &nats.Msg{Subject: canarySubject, Data: []byte(text)}, jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("append to stream %s: %w", layout.IdentityStream, l.explain(err))
	}
	return nil
}
