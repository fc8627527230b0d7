package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

func mongoRows() []Row {
	plain := System{Nodes: 1, Mongo: true, Sockets: true}
	proxied := System{Nodes: 1, Mongo: true, Sockets: true, MongoProxy: true}
	return []Row{
		{Number: 11, Title: "MongoDB down", Limit: 30 * time.Second, System: plain, Run: stopMongo},
		{Number: 12, Title: "MongoDB answers after 2 s", Limit: 0, System: proxied, Run: slowMongo},
		{Number: 13, Title: "MongoDB gone between write and acknowledgement", Limit: 30 * time.Second, InCI: true, System: proxied, Run: muteMongo},
	}
}

// lagMetric is the gateways' metric of how many records MongoDB is behind the log.
const lagMetric = "realtime_projections_lag_records"

// stopMongo kills MongoDB. Live clients must stay live, and a new client must catch up
// from the log.
func stopMongo(ctx context.Context, t *Trial) error {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	stop := t.Load(100)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 200); err != nil {
		return err
	}
	t.Lab.Mongo().Kill()
	if err := wait.For(ctx, time.Duration(t.Scaled("seconds", 300, 20, 5))*time.Second); err != nil {
		return err
	}
	heads, err := t.readLog(ctx, log, func(string, string, uint64) {})
	if err != nil {
		return err
	}
	began := time.Now()
	t.Follow(ctx, "meanwhile")
	for _, f := range t.followers {
		if err := f.await(ctx, heads); err != nil {
			return fmt.Errorf("without MongoDB: %w", err)
		}
	}
	t.Measure("catch-up of a new client without MongoDB", float64(time.Since(began).Milliseconds()), "ms")
	if err := t.ExpectMetric(ctx, lagMetric, 1); err != nil {
		return err
	}
	stop()
	since := time.Now()
	if err := t.Lab.Mongo().Start(ctx); err != nil {
		return err
	}
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	t.Recovered(time.Since(since))
	for {
		lag, err := metric(ctx, t.Gateways[0], lagMetric)
		if err != nil {
			return err
		}
		if lag == 0 {
			t.Note("%s rose, and is 0 again", lagMetric)
			return nil
		}
		if err := wait.For(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// slowMongo delays every answer of MongoDB by two seconds.
func slowMongo(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, 200); err != nil {
		return err
	}
	before, err := metric(ctx, t.Gateways[0], "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	t.proxy.Delay(2 * time.Second)
	stop := t.Load(200)
	defer stop()
	most := before
	for range t.Scaled("seconds", 60, 15, 5) {
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
		now, err := metric(ctx, t.Gateways[0], "process_resident_memory_bytes")
		if err != nil {
			return err
		}
		most = max(most, now)
	}
	t.Follow(ctx, "meanwhile")
	stop()
	t.proxy.Delay(0)
	t.Measure("gateway's memory before", before/(1<<20), "MiB")
	t.Measure("gateway's memory at most", most/(1<<20), "MiB")
	const allowed = 128 << 20
	if most-before > allowed {
		return fmt.Errorf("the gateway's memory grew by %.0f MiB, at most %d", (most-before)/(1<<20), allowed>>20)
	}
	return nil
}

// muteMongo lets MongoDB write and drops its answers, then kills it and breaks the
// connections, so that the gateway writes the same batches again.
func muteMongo(ctx context.Context, t *Trial) error {
	stop := t.Load(200)
	defer stop()
	for range t.Scaled("rounds", 10, 5, 2) {
		if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
			return err
		}
		t.proxy.Mute(true)
		if err := wait.For(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		t.Lab.Mongo().Kill()
		t.proxy.Break()
		t.proxy.Mute(false)
		if err := t.Lab.Mongo().Start(ctx); err != nil {
			return err
		}
	}
	stop()
	since := time.Now()
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	t.Recovered(time.Since(since))
	return nil
}

// PublishSome publishes events and waits for their receipts.
func (t *Trial) PublishSome(ctx context.Context, count int) error {
	for i := range count {
		if err := t.Outbox.Publish(t.jobs[i%len(t.jobs)], t.system.EventBytes); err != nil {
			return err
		}
	}
	return t.Outbox.AwaitIdle(ctx)
}
