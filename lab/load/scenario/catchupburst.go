package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// pageLimit is what a subscription without since is replayed at most, by default.
const pageLimit = 250

// catchUpBurst seeds a job and lets fresh clients catch up, one after the other.
var catchUpBurst = Scenario{
	Name:     "catch-up-burst",
	Summary:  "a job with history, through the publish path or straight into MongoDB; each fresh subscriber gets all of it, in order, soon",
	Defaults: load.Options{EventCount: 120, ClientCount: 20, ReplayThresholdMs: 1500, SettleMs: 15_000},
	heeds:    []string{"eventCount", "clientCount", "replayThresholdMs", "settleMs", "eventBytes"},
	run:      runCatchUpBurst,
}

func runCatchUpBurst(ctx context.Context, t *trial) error {
	p := newPlan(1, t.opts.EventCount, 0, t.opts.EventBytes)
	if err := t.seed(ctx, p); err != nil {
		return err
	}
	replay, first := measure.NewLatency(), measure.NewLatency()
	all := &crowd{board: newBoard(p, p.total*t.opts.ClientCount, t.began)}
	for i := range t.opts.ClientCount {
		f := t.newFollower(all.board, 0)
		all.followers = append(all.followers, f)
		took, joined, err := t.catchUp(ctx, f)
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		replay.Record(took)
		first.Record(joined)
		t.progress("catching up", i+1, t.opts.ClientCount)
	}
	page, err := t.pages.Page(ctx)
	if err != nil {
		return err
	}
	d := replay.Distribution()
	r := t.result
	all.account(t)
	r.Latency = &d
	r.Check("replayed in time", d.Max < float64(t.opts.ReplayThresholdMs), fmt.Sprintf("less than %d ms", t.opts.ReplayThresholdMs), fmt.Sprintf("%.1f ms at most", d.Max))
	if last, has := page.LastCatchUp[p.jobs[0]]; has {
		r.Check("metrics count the replay", last.ReplayedEvents == p.total, p.total, last.ReplayedEvents)
	}
	r.Figure("replayP50Ms", d.P50)
	r.Figure("replayP95Ms", d.P95)
	r.Figure("replayMaxMs", d.Max)
	r.Figure("connectP95Ms", first.Distribution().P95)
	all.leave(t)
	return t.gone(ctx)
}

// catchUp connects a client, and times it from its request to the last event that
// it is due.
func (t *trial) catchUp(ctx context.Context, f *follower) (replay, join time.Duration, err error) {
	began := time.Now()
	s, err := t.dial(ctx, socket.Config{Handler: f.take, ReadBufferBytes: readBufferBytes})
	if err != nil {
		return 0, 0, err
	}
	f.mu.Lock()
	f.socket = s
	f.mu.Unlock()
	join = time.Since(began)
	request := map[string]any{"jobId": f.board.plan.jobs[f.job]}
	if f.board.plan.total > pageLimit {
		request["since"] = 0
	}
	began = time.Now()
	if err := s.Emit(messaging.EventSubscribe, request); err != nil {
		return 0, 0, err
	}
	timer := time.NewTimer(t.opts.Settle())
	defer timer.Stop()
	select {
	case <-f.caughtUp:
	case <-timer.C: // the account says what is missing
	case <-s.Ended():
		return 0, 0, s.Err()
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	return time.Since(began), join, nil
}

// seed makes the history of a plan.
func (t *trial) seed(ctx context.Context, p *plan) error {
	if t.cfg.MongoURI != "" {
		return t.seedMongo(ctx, p)
	}
	if t.cfg.RedisURL == "" {
		return t.skip("neither redisUrl nor mongoUri: there is nowhere to seed")
	}
	producer, err := t.newProducer(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = producer.close() }() // all is confirmed, or the error is told
	if err := producer.publish(ctx, t, p, 0, p.total, nil); err != nil {
		return err
	}
	return producer.await(ctx, t.opts.Settle())
}
