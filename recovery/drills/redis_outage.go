package drills

import (
	"context"
	"time"

	"github.com/letswriteabook/realtime/recovery/faults"
	"github.com/letswriteabook/realtime/recovery/internal/wait"
)

func redisOutage() Drill {
	return Drill{
		Name: "redis-outage",
		Does: "Redis is killed under traffic and started again after the outage. The producer keeps what has no receipt and publishes it again; " +
			"clients stay connected, and nothing is lost or stored twice.",
		Limit:  15 * time.Second,
		System: faults.System{Nodes: 1, Gateways: 2},
		run:    runRedisOutage,
	}
}

func runRedisOutage(ctx context.Context, t *faults.Trial, scale Scale) error {
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	over := t.Fault("Redis is down")
	t.Lab.Redis().Kill()
	if err := wait.For(ctx, scale.outage()); err != nil {
		return err
	}
	if err := t.Lab.Redis().Start(ctx); err != nil {
		return err
	}
	since := time.Now()
	over()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	t.Mark("publishing goes on")
	if err := t.Outbox.AwaitMore(ctx, afterEvents); err != nil {
		return err
	}
	stop()
	held, refused := t.Outbox.Peak()
	t.Measure("events that the producer held at most", float64(held), "")
	t.Measure("events that the producer refused", float64(refused), "")
	return t.ExpectMetric(ctx, "realtime_ingest_gaps_total", 1)
}
