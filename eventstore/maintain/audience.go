package maintain

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// ShowTo hands a record, as operations/replay.Again returns it, to the followers of a
// job at all gateways, once and without storing it.
func (l *Log) ShowTo(room string, record messaging.Record) error {
	token, err := layout.Token(room)
	if err != nil {
		return fmt.Errorf("show a replay: %w", err)
	}
	return l.publish(layout.ReplayPrefix+token, record)
}

// AskGateways asks every process of the service that is on the log.
func (l *Log) AskGateways(ctx context.Context, question gateways.Question) (gateways.Answers, error) {
	return gateways.Ask(ctx, l.client, question)
}

// followersQuiet is the time without an answer after which all have answered.
const followersQuiet = 500 * time.Millisecond

// AskFollowers returns how many gateways answer at this moment, and how many
// subscriptions to a job they have together. A gateway that is slow to answer may be
// left out. If the NATS server does not confirm the question in time, that is an error.
func (l *Log) AskFollowers(ctx context.Context, jobID string) (answered, followers int, err error) {
	token, err := layout.Token(jobID)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", err)
	}
	type counts struct{ answered, followers int }
	got, err := jet.Bounded(ctx, gateways.AskTimeout, func(ctx context.Context) (got counts, err error) {
		got.answered, got.followers, err = l.askFollowers(ctx, token)
		return got, err
	})
	return got.answered, got.followers, err
}

// askFollowers asks for the followers of a job by its token, at most until ctx ends.
func (l *Log) askFollowers(ctx context.Context, token string) (answered, followers int, err error) {
	inbox := l.client.Conn.NewRespInbox()
	answers, err := l.client.Conn.SubscribeSync(inbox)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
	}
	defer func() { _ = answers.Unsubscribe() }() // Fails only without a connection, and then it is gone.
	if err := l.client.Conn.PublishRequest(layout.FollowersPrefix+token, inbox, nil); err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
	}
	// Without an answer, only this shows whether anybody was asked.
	if err := l.client.Conn.FlushWithContext(ctx); err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, followersQuiet)
		answer, err := answers.NextMsgWithContext(quiet)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, nats.ErrNoResponders):
			return answered, followers, nil
		case err != nil:
			return answered, followers, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
		}
		if answer.Header.Get(jet.HeaderStatus) == jet.StatusNoResponders {
			return answered, followers, nil
		}
		count, err := strconv.Atoi(string(answer.Data))
		if err != nil || count < 0 {
			continue // no gateway answers so
		}
		answered, followers = answered+1, followers+count
	}
}
