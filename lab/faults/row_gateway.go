package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

func gatewayRows() []Row {
	return []Row{
		{
			Number: 1, Title: "gateway kill -9 mid-burst, its log inside", Limit: 15 * time.Second, InCI: true,
			System: System{Sockets: true}, Run: killGateway,
		},
		{
			Number: 1, Variant: "node", Title: "gateway kill -9 mid-burst, its log inside; Node publisher", Limit: 15 * time.Second,
			System: System{Worker: true, Sockets: true}, Run: killGateway,
		},
		{
			Number: 2, Title: "kill between log acknowledgement and receipt", Limit: 15 * time.Second, InCI: true,
			System: System{Nodes: 1, Sockets: true}, Run: killBeforeReceipt,
		},
		{
			Number: 9, Title: "gateway SIGSTOP past Redis's 32 MB output limit", Limit: 20 * time.Second, InCI: true,
			System: System{Nodes: 1, Jobs: 150, EventBytes: 100_000}, Run: pauseGateway,
		},
	}
}

// killGateway kills the only gateway, including its log, repeatedly while events are
// published.
func killGateway(ctx context.Context, t *Trial) error {
	kills := t.Scaled("kills", 50, 50, 5)
	stop := t.Load(400)
	defer stop()
	for range kills {
		if err := t.Outbox.AwaitMore(ctx, 20); err != nil {
			return err
		}
		t.Gateways[0].Kill()
		since := time.Now()
		if err := t.Gateways[0].Start(ctx); err != nil {
			return err
		}
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
	}
	t.Measure("kills", float64(kills), "")
	return nil
}

// killBeforeReceipt lets the gateway store events and prevents it from publishing their
// receipts, as if it died in between: its Redis user may not use the channel. Then it is
// killed and restarted with the permission.
func killBeforeReceipt(ctx context.Context, t *Trial) error {
	gateway := t.Gateways[0]
	gateway.Kill()
	client := redis.NewClient(&redis.Options{Addr: t.Lab.Redis().Addr()})
	defer func() { _ = client.Close() }()
	err := client.Do(ctx, "ACL", "SETUSER", "mute", "on", ">secret", "+@all", "~*", "resetchannels", "&"+messaging.EventsChannel).Err()
	if err != nil {
		return fmt.Errorf("add a Redis user: %w", err)
	}
	gateway.Set("REDIS_URL", "redis://mute:secret@"+t.Lab.Redis().Addr())
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, job := range t.jobs {
		if err := t.Outbox.Publish(job, t.system.EventBytes); err != nil {
			return err
		}
	}
	for _, job := range t.jobs {
		for sequence := uint64(0); sequence == 0; {
			if sequence, err = log.LastSequence(ctx, job); err != nil {
				return err
			}
			if err := wait.For(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	if n := t.Outbox.Acknowledged(); n != 0 {
		return fmt.Errorf("%d receipts came although none could be published", n)
	}
	gateway.Kill()
	gateway.Set("REDIS_URL", t.Lab.RedisURL())
	since := time.Now()
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	t.Note("%d events were in the log without a receipt when the gateway was killed", len(t.jobs))
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	t.Recovered(time.Since(since))
	return nil
}

// pauseGateway pauses the only gateway until Redis closes its subscription.
func pauseGateway(ctx context.Context, t *Trial) error {
	client := redis.NewClient(&redis.Options{Addr: t.Lab.Redis().Addr()})
	defer func() { _ = client.Close() }()
	stop := t.Load(50)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 20); err != nil {
		return err
	}
	if err := t.Gateways[0].Pause(); err != nil {
		return err
	}
	paused := time.Now()
	defer func() { _ = t.Gateways[0].Resume() }()
	for {
		listening, err := client.PubSubNumSub(ctx, messaging.EventsChannel).Result()
		if err != nil {
			return err
		}
		if listening[messaging.EventsChannel] == 0 {
			break
		}
		if time.Since(paused) > time.Minute {
			return fmt.Errorf("redis did not give the stopped gateway up in a minute")
		}
		if err := wait.For(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	t.Note("Redis gave the subscription up after %s", time.Since(paused).Round(100*time.Millisecond))
	since := time.Now()
	if err := t.Gateways[0].Resume(); err != nil {
		return err
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	return t.ExpectMetric(ctx, "realtime_ingest_gaps_total", 1)
}
