package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
)

// steady is how long everything runs before a reset: a gateway whose subscription
// has just begun asks again later than one whose has lasted.
const steady = 2 * time.Second

// broadcastBurst publishes a burst to one job that many follow, and may reset
// Redis in the middle.
var broadcastBurst = Scenario{
	Name:    "broadcast-burst",
	Summary: "many subscribers of one job, a burst through Redis, and with redisResetSequence a reset of Redis in the middle: everything comes, once, in order, soon",
	Defaults: load.Options{
		ClientCount: 200, EventCount: 50, DelayMs: 2, JobCount: 1, LatencyThresholdMs: 600, SettleMs: 15_000, EventBytes: 256,
		RedisReset: load.ResetPublisher,
	},
	heeds:      []string{"clientCount", "eventCount", "delayMs", "jobCount", "latencyThresholdMs", "settleMs", "eventBytes", "redisReset", "redisResetSequence", "redisResetDelayMs"},
	needsRedis: true,
	run:        runBroadcastBurst,
}

func runBroadcastBurst(ctx context.Context, t *trial) (err error) {
	if err := t.mustCut(ctx); err != nil {
		return err
	}
	p := newPlan(t.opts.JobCount, t.opts.EventCount, t.opts.Delay(), t.opts.EventBytes)
	all, err := t.gather(ctx, p, t.opts.ClientCount)
	if err != nil {
		return err
	}
	producer, err := t.newProducer(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = producer.close() }() // all is confirmed, or the error is told
	if t.opts.RedisResetSequence > 0 {
		if err := wait.For(ctx, steady); err != nil {
			return err
		}
	}
	process, seen := t.process(ctx)
	var resetting sync.WaitGroup
	defer resetting.Wait()
	var reset error
	err = producer.publish(ctx, t, p, 0, p.total, func(n int) {
		if n+1 == t.opts.RedisResetSequence {
			all.board.breaks()
			resetting.Go(func() { reset = t.resetRedis(ctx, producer) }) // bounded by redisResetDelayMs
		}
	})
	if err != nil {
		return err
	}
	if err := all.await(ctx, t, t.opts.Settle()+t.opts.RedisResetDelay()); err != nil {
		return err
	}
	resetting.Wait()
	if reset != nil {
		return reset
	}
	if after, again := t.process(ctx); seen && again {
		t.result.Figure("gatewayCpuMs", 1000*(after.CPUSeconds-process.CPUSeconds))
	}
	unconfirmed := producer.await(ctx, t.opts.Settle())
	confirmed, repeats := producer.counts()
	r := t.result
	counts := all.account(t)
	d := all.latency(t)
	r.Check("latency", d.P95 < float64(t.opts.LatencyThresholdMs), fmt.Sprintf("p95 less than %d ms", t.opts.LatencyThresholdMs), fmt.Sprintf("%.1f ms", d.P95))
	r.Check("receipts", unconfirmed == nil, fmt.Sprintf("one for each of %d events", p.total), receiptText(unconfirmed, confirmed))
	r.Figure("repeatedEvents", float64(repeats))
	r.Figure("lostEvents", float64(counts.Lost))
	if t.opts.RedisResetSequence > 0 {
		took, known := all.board.recovery()
		if known { // otherwise deliveries are missing, which is a check
			r.Figure("recoveryMs", measure.Ms(took))
		}
	}
	all.leave(t)
	return t.gone(ctx)
}

func receiptText(err error, confirmed int) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(confirmed)
}
