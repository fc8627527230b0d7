package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/socket"
)

// stormAbreast is how many sockets come back at once.
const stormAbreast = 512

// reconnectStorm cuts every socket at once, and brings all of them back by cursor.
var reconnectStorm = Scenario{
	Name:    "reconnect-storm",
	Summary: "all sockets drop together, miss events, and come back together by cursor: each gets what it missed, once, in order",
	Defaults: load.Options{
		ClientCount: 400, EventCount: 120, JobCount: 1, EventBytes: 256, ReplayThresholdMs: 10_000, SettleMs: 15_000,
	},
	heeds:      []string{"clientCount", "eventCount", "jobCount", "eventBytes", "replayThresholdMs", "settleMs"},
	needsRedis: true,
	run:        runReconnectStorm,
}

func runReconnectStorm(ctx context.Context, t *trial) error {
	// One event for each job comes first, so that every client has a cursor.
	first := max(t.opts.JobCount, 1)
	p := newPlan(first, first+t.opts.EventCount, 0, t.opts.EventBytes)
	all, err := t.gather(ctx, p, t.opts.ClientCount)
	if err != nil {
		return err
	}
	producer, err := t.newProducer(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = producer.close() }() // all is confirmed, or the error is told
	if err := producer.publish(ctx, t, p, 0, first, nil); err != nil {
		return err
	}
	if err := t.reaches(ctx, "live before the storm", all, first); err != nil {
		return err
	}
	cut := time.Now()
	for _, f := range all.followers {
		f.cut()
	}
	page, _, err := t.settle(ctx, t.pages.Page, t.cfg.DisconnectTimeout(), func(p metrics.Page) bool { return p.TotalConnections <= t.all.TotalConnections })
	if err != nil {
		return err
	}
	t.result.Check("metrics forget who was cut", page.TotalConnections <= t.all.TotalConnections, t.all.TotalConnections, page.TotalConnections)
	if err := producer.publish(ctx, t, p, first, p.total, nil); err != nil {
		return err
	}
	if err := producer.await(ctx, t.opts.Settle()); err != nil {
		return err
	}
	t.result.Outages = append(t.result.Outages, load.Window{What: "all sockets cut", FromMs: measure.Ms(cut.Sub(t.began)), ToMs: measure.Ms(time.Since(t.began))})
	return t.storm(ctx, all)
}

// storm reconnects every client.
func (t *trial) storm(ctx context.Context, all *crowd) error {
	resumes, missed, began := measure.NewLatency(), all.board.missing.Load(), time.Now()
	err := each(ctx, len(all.followers), stormAbreast, func(ctx context.Context, i int) error {
		if err := all.followers[i].follow(ctx, socket.Config{}); err != nil {
			return fmt.Errorf("client %d comes back: %w", i, err)
		}
		resumes.Record(time.Since(began)) // all wanted to be back at once
		t.progress("coming back", i+1, len(all.followers))
		return nil
	})
	if err != nil {
		return err
	}
	if err := all.await(ctx, t, t.opts.Settle()); err != nil {
		return err
	}
	took := time.Since(began)
	all.account(t)
	d := resumes.Distribution()
	r := t.result
	r.Latency = &d
	r.Check("every client is back in time", d.Max < float64(t.opts.ReplayThresholdMs), fmt.Sprintf("less than %d ms", t.opts.ReplayThresholdMs), fmt.Sprintf("%.0f ms", d.Max))
	r.Figure("resumeP50Ms", d.P50)
	r.Figure("resumeP95Ms", d.P95)
	r.Figure("resumeMaxMs", d.Max)
	r.Figure("replayedPerSecond", float64(missed)/took.Seconds())
	all.leave(t)
	return t.gone(ctx)
}
