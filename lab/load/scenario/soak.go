package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
)

const (
	// samples is how often a soak looks at the processes, at most.
	samples = 400
	// sampleMin is the least time between two looks.
	sampleMin = 250 * time.Millisecond
	// growthPercent is how much memory may grow from the second quarter of a soak
	// to the last, and growthBytes what it may grow anyway: the log's index and the
	// allocator's moods.
	growthPercent = 20
	growthBytes   = 24 << 20
)

// soak publishes at a rate for as long as asked.
var soak = Scenario{
	Name:    "soak",
	Summary: "a steady rate for a time, hours if asked: everything comes, once, in order, soon, and memory and descriptors stay",
	Defaults: load.Options{
		ClientCount: 50, JobCount: 10, RatePerSecond: 100, DurationMs: 15_000, EventBytes: 256, LatencyThresholdMs: 600, SettleMs: 15_000,
	},
	heeds:      []string{"clientCount", "jobCount", "ratePerSecond", "durationMs", "eventBytes", "latencyThresholdMs", "settleMs"},
	needsRedis: true,
	run:        runSoak,
}

func runSoak(ctx context.Context, t *trial) error {
	total := int(t.opts.Duration().Seconds() * float64(t.opts.RatePerSecond))
	p := newPlan(t.opts.JobCount, total, time.Second/time.Duration(t.opts.RatePerSecond), t.opts.EventBytes)
	empty, _ := t.process(ctx)
	all, err := t.gather(ctx, p, t.opts.ClientCount)
	if err != nil {
		return err
	}
	if err := t.held(ctx, empty); err != nil {
		return err
	}
	producer, err := t.newProducer(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = producer.close() }() // all is confirmed, or the error is told
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	var seen []metrics.Process
	memory, descriptors := measure.NewLevels(t.began), measure.NewLevels(t.began)
	sampled := make(chan struct{})
	go func() { // ends with sampling, and is waited for
		defer close(sampled)
		for wait.For(sampling, max(t.opts.Duration()/samples, sampleMin)) == nil {
			if process, err := t.pages.Process(sampling); err == nil {
				seen = append(seen, process)
				memory.Add(time.Now(), process.MemoryBytes)
				descriptors.Add(time.Now(), process.Descriptors)
			}
		}
	}()
	err = producer.publish(ctx, t, p, 0, p.total, nil)
	stop()
	<-sampled
	if err != nil {
		return err
	}
	if err := all.await(ctx, t, t.opts.Settle()); err != nil {
		return err
	}
	unconfirmed := producer.await(ctx, t.opts.Settle())
	confirmed, _ := producer.counts()
	all.account(t)
	d := all.latency(t)
	r := t.result
	r.Check("latency", d.P95 < float64(t.opts.LatencyThresholdMs), fmt.Sprintf("p95 less than %d ms", t.opts.LatencyThresholdMs), fmt.Sprintf("%.1f ms", d.P95))
	r.Check("receipts", unconfirmed == nil, fmt.Sprintf("one for each of %d events", p.total), receiptText(unconfirmed, confirmed))
	if len(seen) >= 8 {
		t.judgeProcess(seen)
		r.Series = append(r.Series, memory.Series("memoryBytes"), descriptors.Series("descriptors"))
	}
	all.leave(t)
	return t.gone(ctx)
}

// manySockets is from how many on the memory of a process says something about one
// socket.
const manySockets = 1000

// held notes how many sockets the gateways hold, and what each takes.
func (t *trial) held(ctx context.Context, empty metrics.Process) error {
	page, err := t.pages.Page(ctx)
	if err != nil {
		return err
	}
	t.result.Check("metrics count the sockets", page.TotalConnections >= t.opts.ClientCount, t.opts.ClientCount, page.TotalConnections)
	t.result.Figure("heldConnections", float64(page.TotalConnections))
	if full, seen := t.process(ctx); seen && empty.MemoryBytes > 0 && t.opts.ClientCount >= manySockets {
		t.result.Figure("memoryPerSocketBytes", (full.MemoryBytes-empty.MemoryBytes)/float64(t.opts.ClientCount))
	}
	return nil
}

// judgeProcess compares the second quarter of a soak, when everything is warm, with
// the last.
func (t *trial) judgeProcess(seen []metrics.Process) {
	quarter := len(seen) / 4
	early, late := seen[quarter:2*quarter], seen[len(seen)-quarter:]
	bytes := func(p metrics.Process) float64 { return p.MemoryBytes }
	descriptors := func(p metrics.Process) float64 { return p.Descriptors }
	before, after := middle(early, bytes), middle(late, bytes)
	limit := max(before*(1+growthPercent/100.0), before+growthBytes)
	r := t.result
	r.Check("memory stays", after <= limit, fmt.Sprintf("at most %.0f MiB, it was %.0f", limit/(1<<20), before/(1<<20)), fmt.Sprintf("%.0f MiB", after/(1<<20)))
	open, opened := middle(early, descriptors), middle(late, descriptors)
	r.Check("descriptors stay", opened <= open+sparedDescriptors, fmt.Sprintf("at most %.0f", open+sparedDescriptors), opened)
	r.Figure("memoryBytes", after)
	first, last := seen[0], seen[len(seen)-1]
	r.Figure("gatewayCpuSeconds", last.CPUSeconds-first.CPUSeconds)
}

// middle is the median of one figure.
func middle(seen []metrics.Process, figure func(metrics.Process) float64) float64 {
	values := make([]float64, len(seen))
	for i, process := range seen {
		values[i] = figure(process)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
