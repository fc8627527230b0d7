package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/wait"
)

func redisRows() []Row {
	return []Row{
		{Number: 7, Title: "Redis restart mid-burst", Limit: 20 * time.Second, InCI: true, System: System{Gateways: 2, Nodes: 1, Sockets: true}, Run: restartRedis},
		{Number: 8, Title: "CLIENT KILL TYPE pubsub once a second", Limit: 10 * time.Second, InCI: true, System: System{Gateways: 2, Nodes: 1, Sockets: true}, Run: killSubscriptions},
		{Number: 8, Variant: "node", Title: "CLIENT KILL TYPE pubsub once a second; Node publisher", Limit: 10 * time.Second, System: System{Gateways: 2, Nodes: 1, Sockets: true, Worker: true}, Run: killSubscriptions},
		{Number: 10, Title: "Redis SIGSTOP for 30 s", Limit: 20 * time.Second, System: System{Gateways: 2, Nodes: 1, Sockets: true, Outbox: 1000}, Run: pauseRedis},
	}
}

// restartRedis kills Redis, which stores nothing on disk, and starts it again.
func restartRedis(ctx context.Context, t *Trial) error {
	stop := t.Load(400)
	defer stop()
	for range t.Scaled("restarts", 3, 3, 1) {
		if err := t.Outbox.AwaitMore(ctx, 200); err != nil {
			return err
		}
		t.Lab.Redis().Kill()
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
		since := time.Now()
		if err := t.Lab.Redis().Start(ctx); err != nil {
			return err
		}
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
	}
	return t.ExpectMetric(ctx, "realtime_ingest_outage_seconds_total", 0.5)
}

// killSubscriptions makes Redis close all subscriptions each second: those of the
// gateways and that of the producer.
func killSubscriptions(ctx context.Context, t *Trial) error {
	client := redis.NewClient(&redis.Options{Addr: t.Lab.Redis().Addr()})
	defer func() { _ = client.Close() }()
	stop := t.Load(400)
	defer stop()
	kills := t.Scaled("seconds", 30, 20, 6)
	closed := int64(0)
	for range kills {
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
		n, err := client.ClientKillByFilter(ctx, "TYPE", "pubsub").Result()
		if err != nil {
			return err
		}
		closed += n
		if err := t.Resumed(ctx, time.Now()); err != nil {
			return err
		}
	}
	t.Measure("subscriptions closed by Redis", float64(closed), "")
	// One of the three subscriptions that each round closes is the producer's.
	if closed < int64(2*kills) {
		return fmt.Errorf("redis closed %d subscriptions in %d rounds", closed, kills)
	}
	return t.ExpectMetric(ctx, "realtime_ingest_gaps_total", float64(closed)/3)
}

// pauseRedis pauses Redis until the outbox of the producer is full and refuses events.
func pauseRedis(ctx context.Context, t *Trial) error {
	stop := t.Load(400)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 200); err != nil {
		return err
	}
	if err := t.Lab.Redis().Pause(); err != nil {
		return err
	}
	length := time.Duration(t.Scaled("seconds", 30, 30, 5)) * time.Second
	err := wait.For(ctx, length)
	since := time.Now()
	if err := t.Lab.Redis().Resume(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	held, refused := t.Outbox.Peak()
	t.Measure("most events held by the producer", float64(held), "")
	t.Measure("events refused at the bound", float64(refused), "")
	if held > t.system.Outbox || refused == 0 {
		return fmt.Errorf("the producer held %d events of at most %d, and refused %d", held, t.system.Outbox, refused)
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	return t.ExpectMetric(ctx, "realtime_ingest_outage_seconds_total", 1)
}
