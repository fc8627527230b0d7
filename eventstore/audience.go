package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// Gateways subscribe to two subjects beside the log, each for all jobs in one subscription:
//
//	novel.replay.<token of the room>      a record that is shown to the room's followers
//	                                      once more, in the layout of [Log.PublishTo]
//	novel.followers.<token of a job>      a question: each gateway answers with the
//	                                      number of subscriptions to the job that it has
const (
	replayPrefix    = "novel.replay."
	followersPrefix = "novel.followers."
)

// audienceQueue bounds what waits for an [Audience], in messages. At the bound more
// are dropped: a replay that is shown is not repaired.
const audienceQueue = 4096

// Audience is the clients of one gateway.
type Audience interface {
	// Show hands a record to the followers of a job once more.
	Show(replay messaging.Replay)
	// Followers returns the number of subscriptions to a job.
	Followers(jobID string) int
}

// ServeAudience shows the audience what operators replay, and counts it when they
// ask, until ctx ends; then it returns nil.
func (l *Log) ServeAudience(ctx context.Context, audience Audience) error {
	queue := make(chan *nats.Msg, audienceQueue)
	for _, prefix := range []string{replayPrefix, followersPrefix} {
		sub, err := l.client.Conn.ChanSubscribe(prefix+"*", queue)
		if err != nil {
			return fmt.Errorf("subscribe to replays: %w", jet.Unavailable(err))
		}
		defer func() { _ = sub.Unsubscribe() }() // Fails only without a connection, and then it is gone.
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-queue:
			if err := l.guard.Do("audience", func() error { return l.serveAudience(msg, audience) }); err != nil {
				l.metrics.foreign.Inc()
				l.logger.Debug("message to the audience cannot be served", "error", err)
			}
		}
	}
}

func (l *Log) serveAudience(msg *nats.Msg, audience Audience) error {
	if token, asked := strings.CutPrefix(msg.Subject, followersPrefix); asked {
		jobID, err := messaging.ParseToken(token)
		if err != nil {
			return err
		}
		return msg.Respond(strconv.AppendInt(nil, int64(audience.Followers(jobID)), 10))
	}
	room, err := messaging.ParseToken(strings.TrimPrefix(msg.Subject, replayPrefix))
	if err != nil {
		return err
	}
	record, err := layout.Decode(layout.EventPrefix+msg.Header.Get(headerJob), msg.Header, msg.Data, messaging.Position{}, time.Time{})
	if err != nil {
		return err
	}
	if record.ReplayOf.Sequence == 0 {
		return fmt.Errorf("header %s is missing", layout.HeaderReplayOf)
	}
	// As the log has it: where it stands there, and no replay itself.
	record.Position, record.ReplayOf = record.ReplayOf, messaging.Position{}
	run, _, _ := strings.Cut(record.MessageID, "/")
	audience.Show(messaging.Replay{Record: record, Room: room, Run: run})
	return nil
}

// ShowTo hands a record, as operations/replay.Again returns it, to the followers of a
// job at all gateways, once and without storing it.
func (l *Log) ShowTo(room string, record messaging.Record) error {
	token, err := layout.Token(room)
	if err != nil {
		return fmt.Errorf("show a replay: %w", err)
	}
	return l.publish(replayPrefix+token, record)
}

// followersQuiet is the time without an answer after which all have answered.
const followersQuiet = 500 * time.Millisecond

// AskFollowers returns how many gateways answer at this moment, and how many
// subscriptions to a job they have together. A gateway that is slow to answer may be
// left out.
func (l *Log) AskFollowers(ctx context.Context, jobID string) (gateways, followers int, err error) {
	token, err := layout.Token(jobID)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", err)
	}
	inbox := l.client.Conn.NewRespInbox()
	answers, err := l.client.Conn.SubscribeSync(inbox)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
	}
	defer func() { _ = answers.Unsubscribe() }() // Fails only without a connection, and then it is gone.
	if err := l.client.Conn.PublishRequest(followersPrefix+token, inbox, nil); err != nil {
		return 0, 0, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, followersQuiet)
		answer, err := answers.NextMsgWithContext(quiet)
		cancel()
		switch {
		case ctx.Err() != nil:
			return gateways, followers, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders):
			return gateways, followers, nil
		case err != nil:
			return gateways, followers, fmt.Errorf("ask for followers: %w", jet.Unavailable(err))
		}
		if answer.Header.Get(jet.HeaderStatus) == jet.StatusNoResponders {
			return gateways, followers, nil
		}
		count, err := strconv.Atoi(string(answer.Data))
		if err != nil || count < 0 {
			continue // Nobody's answer.
		}
		gateways, followers = gateways+1, followers+count
	}
}
