package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/replay"
	"github.com/letswriteabook/realtime/projections"
)

// What the command replay is told, and shows.
type (
	ReplayBound   = replay.Bound
	ReplayPace    = replay.Pace
	ReplayPlan    = replay.Plan
	ReplayOutcome = replay.Outcome
)

// ParseReplayBound reads a sequence, an epoch:sequence or an RFC 3339 time.
func ParseReplayBound(text string) (ReplayBound, error) { return replay.ParseBound(text) }

// The places that a replay can go to.
const (
	ReplayIntoStdout     = "stdout"
	ReplayIntoNATS       = "nats"
	ReplayIntoRedis      = "redis"
	ReplayIntoCollection = "collection"
	ReplayIntoJob        = "job"
	ReplayIntoLog        = "log"
)

// ReplayTarget is where a replay goes to.
type ReplayTarget struct {
	// Place is one of the places; Name is the subject, the channel, the
	// collection or the job there, empty for the others.
	Place, Name string
}

// errTarget says what a target looks like.
var errTarget = errors.New("want stdout, nats:SUBJECT, redis:CHANNEL, collection:NAME, job:JOB or log")

// ParseReplayTarget reads a place, or place:name.
func ParseReplayTarget(text string) (ReplayTarget, error) {
	place, name, named := strings.Cut(text, ":")
	target := ReplayTarget{Place: place, Name: name}
	var err error
	switch place {
	case ReplayIntoStdout, ReplayIntoLog:
		if named {
			err = errTarget
		}
	case ReplayIntoNATS:
		err = eventstore.CheckSubject(name)
	case ReplayIntoRedis:
		if name == "" || strings.HasPrefix(name, "novel.") {
			err = errors.New("want a Redis channel whose name does not begin with novel., which are the service's own")
		}
	case ReplayIntoCollection:
		err = projections.CheckCollection(name)
	case ReplayIntoJob:
		err = messaging.ValidateJobID(name)
	default:
		err = errTarget
	}
	if err != nil {
		return target, fmt.Errorf("%q: %w", text, err)
	}
	return target, nil
}

// String returns the target as [ParseReplayTarget] reads it.
func (t ReplayTarget) String() string {
	if t.Name == "" {
		return t.Place
	}
	return t.Place + ":" + t.Name
}

// NewReplayRun returns an id for one run of a replay.
func NewReplayRun() string {
	var bits [4]byte
	_, _ = rand.Read(bits[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(bits[:])
}

// CheckReplayRun tells whether a text is such an id.
func CheckReplayRun(run string) error { return replay.CheckRun(run) }

// Followers is how many follow a job at this moment.
type Followers struct {
	// Gateways counts those that answered, Subscriptions what they have together.
	Gateways      int `json:"gateways"`
	Subscriptions int `json:"subscriptions"`
}

// ReplaySummary is what a replay did, or would do.
type ReplaySummary struct {
	ReplayOutcome
	Into   string `json:"into"`
	Run    string `json:"run"`
	DryRun bool   `json:"dryRun"`
	// Followers are those of the job into which it goes, when it began; nil for
	// every other place.
	Followers *Followers `json:"followers,omitempty"`
}

// Replay hands records of the log on once more, or, in a dry run, says what it would
// do and how long that would take. output gets the lines of a replay into stdout. run
// marks what is handed on, where that has room for a mark. Where the summary has an
// epoch, the replay had begun.
func (o *Operator) Replay(ctx context.Context, target ReplayTarget, run string, plan ReplayPlan, dryRun bool, output io.Writer) (ReplaySummary, error) {
	summary := ReplaySummary{Into: target.String(), Run: run, DryRun: dryRun}
	log, err := o.attach(ctx)
	if err != nil {
		return summary, err
	}
	if target.Place == ReplayIntoJob {
		summary.Followers = &Followers{}
		summary.Followers.Gateways, summary.Followers.Subscriptions, err = log.AskFollowers(ctx, target.Name)
		if err != nil {
			return summary, err
		}
	}
	if dryRun {
		summary.ReplayOutcome, err = replay.Estimate(ctx, log, plan)
		return summary, err
	}
	sink, err := o.replaySink(ctx, log, target, run, output)
	if err != nil {
		return summary, err
	}
	if target.Place != ReplayIntoLog {
		summary.ReplayOutcome, err = replay.Run(ctx, log, sink, plan)
		return summary, err
	}
	operation := Operation{Target: targetReplay, Kind: "replay", Resume: "realtime replay --into log --run " + run}
	told := plan.Told
	err = o.during(ctx, operation, nil, func(ctx context.Context, report func(string, uint64, uint64)) (err error) {
		plan.Told = func(done, total uint64) {
			report("replay", done, total)
			if told != nil {
				told(done, total)
			}
		}
		summary.ReplayOutcome, err = replay.Run(ctx, log, sink, plan)
		return err
	})
	return summary, err
}

func (o *Operator) replaySink(ctx context.Context, log *eventstore.Log, target ReplayTarget, run string, output io.Writer) (replay.Sink, error) {
	switch target.Place {
	case ReplayIntoNATS:
		return replayNATS{log: log, subject: target.Name, run: run}, nil
	case ReplayIntoJob:
		return replayJob{log: log, room: target.Name, run: run}, nil
	case ReplayIntoRedis:
		return o.replayRedis(ctx, target.Name)
	case ReplayIntoCollection:
		store, err := o.models()
		if err != nil {
			return nil, err
		}
		collect, err := store.Collect(ctx, target.Name)
		if err != nil {
			return nil, err
		}
		return replay.Batches(collect), nil
	case ReplayIntoLog:
		return replay.IntoLog(log, run), nil
	}
	return replay.Lines(output), nil
}

// replayNATS publishes on a subject.
type replayNATS struct {
	log          *eventstore.Log
	subject, run string
}

func (s replayNATS) Take(_ context.Context, record messaging.Record) error {
	return s.log.PublishTo(s.subject, replay.Again(record, s.run))
}

func (s replayNATS) Flush(ctx context.Context) error { return s.log.Flush(ctx) }

// replayJob shows records to the followers of a job.
type replayJob struct {
	log       *eventstore.Log
	room, run string
}

func (s replayJob) Take(_ context.Context, record messaging.Record) error {
	return s.log.ShowTo(s.room, replay.Again(record, s.run))
}

func (s replayJob) Flush(ctx context.Context) error { return s.log.Flush(ctx) }

// replayRedis publishes the envelopes on a channel, as they were published.
func (o *Operator) replayRedis(ctx context.Context, channel string) (replay.Sink, error) {
	client, err := openRedis(o.app.cfg, o.app.parts, o.app.logger)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, fmt.Errorf("%w: REDIS_URL is not set", config.ErrInvalid)
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return replay.Batches(func(ctx context.Context, records []messaging.Record) error {
		_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, record := range records {
				pipe.Publish(ctx, channel, record.Body)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("publish on the channel %s: %w", channel, err)
		}
		return nil
	}), nil
}
