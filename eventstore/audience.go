package eventstore

import (
	"context"
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
//	                                      once more, in the layout of a stored record and
//	                                      with the job's token in the header Novel-Job
//	novel.followers.<token of a job>      a question: each gateway answers with the
//	                                      number of subscriptions to the job that it has
//
// Package maintain sends both.

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
	for _, prefix := range []string{layout.ReplayPrefix, layout.FollowersPrefix} {
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
	if token, asked := strings.CutPrefix(msg.Subject, layout.FollowersPrefix); asked {
		jobID, err := messaging.ParseToken(token)
		if err != nil {
			return err
		}
		return msg.Respond(strconv.AppendInt(nil, int64(audience.Followers(jobID)), 10))
	}
	room, err := messaging.ParseToken(strings.TrimPrefix(msg.Subject, layout.ReplayPrefix))
	if err != nil {
		return err
	}
	record, err := layout.Decode(layout.EventPrefix+msg.Header.Get(layout.HeaderJob), msg.Header, msg.Data, messaging.Position{}, time.Time{})
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
