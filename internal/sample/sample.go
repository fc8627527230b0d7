package sample

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// Job is the first of the sample's jobs.
	Job = "sample-novel"
	// interval is the time between two events of a job.
	interval = 1500 * time.Millisecond
	// steps is how many events one draft of a novel takes.
	steps = 12
	// failing is the step at which the making of a draft fails, where it does.
	failing = 6
)

// Novel is one of the sample's jobs.
type Novel struct {
	Job, Title string
	// begins is the step that the job is at when the sample begins, so that the
	// jobs differ.
	begins int
	// fails makes every other draft fail.
	fails bool
}

// Novels are the sample's jobs.
var Novels = []Novel{
	{Job: Job, Title: "The Lighthouse Keeper"},
	{Job: "sample-mystery", Title: "Murder at Low Tide", begins: 4},
	{Job: "sample-memoir", Title: "A Year of Small Boats", begins: 8, fails: true},
}

// Run publishes the sample through the Redis at an address, such as
// redis://127.0.0.1:6379, until ctx ends. What cannot be published is logged and
// left out.
func Run(ctx context.Context, redisURL string, logger *slog.Logger) error {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		return errors.New("connect the sample to Redis: the address is not one of Redis") // The cause would repeat it.
	}
	client := redis.NewClient(opts)
	defer client.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for step := 0; ; step++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, novel := range Novels {
			if err := novel.publish(ctx, client, step); err != nil && ctx.Err() == nil {
				logger.Warn("the sample did not publish", "job", novel.Job, "err", err)
			}
		}
	}
}

func (n Novel) publish(ctx context.Context, client *redis.Client, step int) error {
	at := step + n.begins
	event, err := n.envelope(at/steps+1, at%steps, time.Now())
	if step == 0 && n.begins > 0 { // what is in the middle has begun at some time
		event, err = messaging.NewJobStatus(n.Job, "running", map[string]any{"draft": 1, "chapters": n.begins - 2})
	}
	if err != nil || event.Kind == "" {
		return err
	}
	body, err := event.Encode()
	if err != nil {
		return err
	}
	return client.Publish(ctx, messaging.EventsChannel, body).Err()
}

// envelope returns one event of a draft's making. It is empty after a failure.
func (n Novel) envelope(draft, step int, now time.Time) (messaging.Envelope, error) {
	at := messaging.FormatTime(now)
	failed := n.fails && draft%2 == 0
	switch {
	case step == 0:
		return messaging.NewJobStatus(n.Job, "queued", nil)
	case step == 1:
		return messaging.NewJobStatus(n.Job, "running", map[string]any{"draft": draft, "chapters": 0})
	case failed && step == failing:
		return messaging.NewJobStatus(n.Job, "failed", map[string]any{"draft": draft, "chapters": failing - 2, "reason": "the author ran out of ink"})
	case failed && step > failing:
		return messaging.Envelope{}, nil
	case step == steps-2:
		return messaging.NewDomain(n.Job, map[string]any{"type": "novel-finished", "occurredAt": at, "draft": draft})
	case step == steps-1:
		return messaging.NewJobStatus(n.Job, "completed", map[string]any{"draft": draft, "chapters": steps - 4})
	}
	return messaging.NewGeneration(n.Job, map[string]any{
		"type": "chapter-drafted", "occurredAt": at, "draft": draft, "chapter": step - 1,
		"excerpt": fmt.Sprintf("Chapter %d of draft %d begins here.", step-1, draft),
	})
}
