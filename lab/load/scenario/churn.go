package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// sparedDescriptors is how many more descriptors a gateway may hold afterwards: the
// connections that the drivers of its backends keep in their pools. A gateway reads
// history in 32 places at once, and on the development stack, where MongoDB is in the same
// process, each connection has two descriptors. A leak has one for each of the visits,
// which are more than a thousand.
const sparedDescriptors = 80

// churn lets clients come and go.
var churn = Scenario{
	Name:    "churn",
	Summary: "clients connect, subscribe, catch up and leave, over and over: each gets the whole history, and nothing stays behind",
	Defaults: load.Options{
		ClientCount: 16, JobCount: 8, EventCount: 160, EventBytes: 256, DurationMs: 8000, SettleMs: 15_000,
	},
	heeds:      []string{"clientCount", "jobCount", "eventCount", "eventBytes", "durationMs", "settleMs"},
	needsRedis: true,
	run:        runChurn,
}

// visits is what came of all visits.
type visits struct {
	mu     sync.Mutex // guards the fields below
	count  int
	failed int
	last   error
	counts measure.Counts
}

func runChurn(ctx context.Context, t *trial) error {
	p := newPlan(t.opts.JobCount, t.opts.EventCount, 0, t.opts.EventBytes)
	if err := t.seed(ctx, p); err != nil {
		return err
	}
	process, seen := t.process(ctx)
	b, v, cycle := newBoard(p, 0, t.began), &visits{}, measure.NewLatency()
	began := time.Now()
	err := each(ctx, t.opts.ClientCount, t.opts.ClientCount, func(ctx context.Context, i int) error {
		for n := i; time.Since(began) < t.opts.Duration() && ctx.Err() == nil; n++ {
			arrived := time.Now()
			f := t.newFollower(b, n%len(p.jobs))
			v.note(f, t.visit(ctx, f, n%2 == 0))
			cycle.Record(time.Since(arrived))
			t.progress("coming and going", int(time.Since(began).Milliseconds()), t.opts.DurationMs)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	d := cycle.Distribution()
	r := t.result
	r.Delivery, r.Latency = &v.counts, &d
	failure := "none"
	if v.failed > 0 {
		failure = fmt.Sprintf("%d of %d, the last with %v", v.failed, v.count, v.last)
	}
	r.Check("visits that failed", v.failed == 0, "none", failure)
	r.Check("every visit gets the whole history", v.counts.Clean(), fmt.Sprintf("%d events, once, in order", v.counts.Due),
		fmt.Sprintf("%d lost, %d twice, %d out of order", v.counts.Lost, v.counts.Duplicated, v.counts.Reordered))
	r.Figure("visitsPerSecond", float64(v.count)/took.Seconds())
	r.Figure("visitP95Ms", d.P95)
	r.Series = append(r.Series, b.deliveries.Series("deliveriesPerSecond"), t.connections.Series("connections"))
	if err := t.gone(ctx); err != nil {
		return err
	}
	if seen {
		t.left(ctx, process)
	}
	return nil
}

// visit connects, catches up, and leaves, politely or not.
func (t *trial) visit(ctx context.Context, f *follower, polite bool) error {
	if err := f.follow(ctx, socket.Config{}); err != nil {
		return err
	}
	t.forget(f.socket)
	if !polite {
		f.cut()
		return nil
	}
	err := f.socket.Emit(messaging.EventUnsubscribe, map[string]any{"jobId": f.board.plan.jobs[f.job]})
	t.part([]*socket.Socket{f.socket})
	return err
}

func (v *visits) note(f *follower, err error) {
	f.mu.Lock()
	counts := f.ledger.Counts()
	f.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count++
	if err != nil {
		v.failed, v.last = v.failed+1, err
	}
	v.counts = v.counts.Plus(counts)
}

// process returns what the gateways' processes use, where they say it.
func (t *trial) process(ctx context.Context) (metrics.Process, bool) {
	process, err := t.pages.Process(ctx)
	return process, err == nil
}

// left checks that the processes gave their descriptors back.
func (t *trial) left(ctx context.Context, before metrics.Process) {
	var now metrics.Process
	for end := time.Now().Add(t.cfg.DisconnectTimeout()); ; {
		var seen bool
		if now, seen = t.process(ctx); !seen {
			return
		}
		if now.Descriptors <= before.Descriptors+sparedDescriptors || time.Now().After(end) || wait.For(ctx, pagePause) != nil {
			break
		}
	}
	t.result.Check("descriptors are back", now.Descriptors <= before.Descriptors+sparedDescriptors, fmt.Sprintf("at most %.0f", before.Descriptors+sparedDescriptors), now.Descriptors)
	t.result.Figure("memoryBytes", now.MemoryBytes)
}
