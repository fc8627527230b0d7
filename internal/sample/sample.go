package sample

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// Job is the job that the sample publishes to.
	Job = "sample-novel"
	// interval is the time between two of its events.
	interval = 1500 * time.Millisecond
	// steps is how many events one novel takes.
	steps = 12
)

// Run publishes the sample through the Redis at an address, such as
// redis://127.0.0.1:6379, until ctx ends. What cannot be published is logged and
// left out.
func Run(ctx context.Context, redisURL string, logger *slog.Logger) error {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		return fmt.Errorf("connect the sample to Redis: %w", err)
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
		if err := publish(ctx, client, step); err != nil && ctx.Err() == nil {
			logger.Warn("the sample did not publish", "err", err)
		}
	}
}

func publish(ctx context.Context, client *redis.Client, step int) error {
	event, err := envelope(step/steps+1, step%steps, time.Now())
	if err != nil {
		return err
	}
	body, err := event.Encode()
	if err != nil {
		return err
	}
	return client.Publish(ctx, messaging.EventsChannel, body).Err()
}

// envelope returns one event of a novel's making.
func envelope(novel, step int, now time.Time) (messaging.Envelope, error) {
	at := messaging.FormatTime(now)
	switch step {
	case 0:
		return messaging.NewJobStatus(Job, "queued", nil)
	case 1:
		return messaging.NewJobStatus(Job, "running", map[string]any{"novel": novel, "chapters": 0})
	case steps - 2:
		return messaging.NewDomain(Job, map[string]any{"type": "novel-finished", "occurredAt": at, "novel": novel})
	case steps - 1:
		return messaging.NewJobStatus(Job, "completed", map[string]any{"novel": novel, "chapters": steps - 4})
	}
	return messaging.NewGeneration(Job, map[string]any{
		"type": "chapter-drafted", "occurredAt": at, "novel": novel, "chapter": step - 1,
		"excerpt": fmt.Sprintf("Chapter %d of novel %d begins here.", step-1, novel),
	})
}
