package drills

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/faults"
)

func redisOutage() Drill {
	return Drill{
		Name: "redis-outage",
		Does: "Redis is killed under traffic and started again after the outage. The producer keeps what has no receipt and publishes it again; " +
			"clients stay connected, and nothing is lost or stored twice.",
		Limit:  15 * time.Second,
		System: faults.System{Nodes: 1, Gateways: 2},
		run:    runRedisOutage,
		touches: func(running Running, scale Scale) ([]string, error) {
			if running.Down != "" || running.Up != "" {
				return byCommands("Redis")(running, scale)
			}
			return []string{fmt.Sprintf("have Redis hold back every write and everything that is published, of all its users, for %s (CLIENT PAUSE), "+
				"and end every subscription (CLIENT KILL TYPE pubsub); CLIENT UNPAUSE undoes it, and any pause of somebody else's, or Redis itself %s later", scale.outage(), pauseMargin)}, nil
		},
	}
}

func runRedisOutage(ctx context.Context, t *faults.Trial, options Options) error {
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	counted, err := t.Metric(ctx, gapsMetric)
	if err != nil {
		return err
	}
	over := t.Fault("Redis is down")
	back, err := redisOf(t, options).take(ctx, t)
	if err != nil {
		return err
	}
	if err := wait.For(ctx, options.Scale.outage()); err != nil {
		return err
	}
	if err := back(ctx); err != nil {
		return err
	}
	since := time.Now()
	over()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	t.Mark("publishing goes on")
	if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
		return err
	}
	stop()
	held, refused := t.Outbox.Peak()
	t.Measure("events that the producer held at most", float64(held), "")
	t.Measure("events that the producer refused", float64(refused), "")
	return t.ExpectMetric(ctx, gapsMetric, counted+1)
}

// gapsMetric counts the times that a gateway did not receive published messages.
const gapsMetric = "realtime_ingest_gaps_total"

// redisOf returns Redis as a part. On a running system the operator's commands stop it, or
// else Redis holds back published messages.
func redisOf(t *faults.Trial, options Options) part {
	if !t.Running() {
		return process(t.Lab.Redis())
	}
	if options.Running.Down != "" {
		return commanded(t, "Redis", *options.Running)
	}
	return part{
		name: "Redis",
		down: func(ctx context.Context) error { return t.HoldRedis(ctx, options.Scale.outage()+pauseMargin) },
		up:   t.ReleaseRedis,
	}
}
