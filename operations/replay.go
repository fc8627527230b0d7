package operations

import (
	"context"
	"fmt"
	"io"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/replay"
)

// Followers counts who follows a job when it is asked.
type Followers struct {
	// Gateways is how many answered, Subscriptions how many they have together.
	Gateways      int `json:"gateways"`
	Subscriptions int `json:"subscriptions"`
}

// ReplaySummary describes what a replay did or, in a dry run, would do.
type ReplaySummary struct {
	replay.Outcome
	Into   string `json:"into"`
	Run    string `json:"run"`
	DryRun bool   `json:"dryRun"`
	// Followers are those of the target job at the beginning; nil for other targets.
	Followers *Followers `json:"followers,omitempty"`
}

// Replay sends records of the log again or, in a dry run, estimates how much that is and
// how long it takes. A replay to stdout writes its lines to output. run marks the records,
// where the target has room for a mark. A summary without an epoch belongs to a replay that
// did not begin. If no event matches, the error is [replay.ErrNothing]. command repeats it, with the same run: it is what is listed of a replay
// into the log that was interrupted.
func (o *Operator) Replay(ctx context.Context, target replay.Target, run, command string, plan replay.Plan, dryRun bool, output io.Writer) (ReplaySummary, error) {
	summary := ReplaySummary{Into: target.String(), Run: run, DryRun: dryRun}
	log, err := o.log(ctx)
	if err != nil {
		return summary, err
	}
	if target.Place == replay.ToJob {
		summary.Followers = &Followers{}
		summary.Followers.Gateways, summary.Followers.Subscriptions, err = log.AskFollowers(ctx, target.Name)
		if err != nil {
			return summary, err
		}
	}
	if dryRun {
		if summary.Outcome, err = replay.Estimate(ctx, log, plan); err == nil {
			err = summary.Matched()
		}
		return summary, err
	}
	sink, err := o.replaySink(ctx, log, target, run, output)
	if err != nil {
		return summary, err
	}
	if target.Place != replay.ToLog {
		if summary.Outcome, err = replay.Run(ctx, log, sink, plan); err == nil {
			err = summary.Matched()
		}
		return summary, err
	}
	operation := lease.Operation{Target: TargetReplay, Kind: "replay", Resume: command}
	told := plan.Told
	err = o.during(ctx, operation, nil, func(ctx context.Context, report Report) (err error) {
		plan.Told = func(done, total uint64) {
			report("replay", done, total)
			if told != nil {
				told(done, total)
			}
		}
		if summary.Outcome, err = replay.Run(ctx, log, sink, plan); err != nil {
			return err
		}
		if err := summary.Matched(); err != nil {
			return nothingDone{err}
		}
		return nil
	})
	return summary, err
}

func (o *Operator) replaySink(ctx context.Context, log *maintain.Log, target replay.Target, run string, output io.Writer) (replay.Sink, error) {
	switch target.Place {
	case replay.ToNATS:
		return replay.IntoSubject(log, target.Name, run), nil
	case replay.ToJob:
		return replay.IntoFollowers(log, target.Name, run), nil
	case replay.ToRedis:
		return o.replayRedis(ctx, target.Name)
	case replay.ToCollection:
		store, err := o.models()
		if err != nil {
			return nil, err
		}
		collect, err := store.Collect(ctx, target.Name)
		if err != nil {
			return nil, err
		}
		return replay.Batches(collect), nil
	case replay.ToLog:
		return replay.IntoLog(log, run), nil
	}
	return replay.Lines(output), nil
}

// replayRedis returns a sink that publishes the envelopes on a Redis channel, as they were
// published first.
func (o *Operator) replayRedis(ctx context.Context, channel string) (replay.Sink, error) {
	client, err := backends.OpenRedis(o.cfg, o.logger)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, fmt.Errorf("%w: REDIS_URL is not set", config.ErrInvalid)
	}
	o.closers = append(o.closers, func(context.Context) error { return client.Close() })
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return replay.Batches(func(ctx context.Context, records []messaging.Record) error {
		pipe := client.Pipeline()
		for _, record := range records {
			pipe.Publish(ctx, channel, record.Body)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("publish on the channel %s: %w", channel, err)
		}
		return nil
	}), nil
}
