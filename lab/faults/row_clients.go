package faults

import (
	"context"
	"fmt"
	"slices"
	"time"
)

func clientRows() []Row {
	return []Row{
		{
			Number: 23, Title: "rolling restart of 3 gateways", Limit: 20 * time.Second,
			System: System{Nodes: 1, Gateways: 3, Env: map[string]string{"DRAIN_SECONDS": fmt.Sprint(drained.Seconds())}}, Run: restartRolling,
		},
	}
}

// drained is the period over which each gateway of row 23 disconnects its clients.
const drained = 2 * time.Second

// restartRolling stops and starts one gateway after the other, under load and with
// clients on each.
func restartRolling(ctx context.Context, t *Trial) error {
	const clients = 30
	visitors := make([]*visitor, clients)
	for i := range visitors {
		visitors[i] = &visitor{name: fmt.Sprint("visitor-", i), gateways: t.addresses(i), notes: t.Journal}
		visitors[i].visit(ctx, t.jobs)
		defer visitors[i].close()
	}
	stop := t.Load(150)
	defer stop()
	for n, gateway := range t.Gateways {
		if err := t.Outbox.AwaitMore(ctx, 300); err != nil {
			return err
		}
		began := time.Now()
		if err := gateway.Stop(ctx); err != nil {
			return err
		}
		broken := breaksSince(visitors, began)
		took := spread(broken)
		t.Note("gateway %d sent %d clients away over %s", n+1, len(broken), took.Round(time.Millisecond))
		if len(broken) < 5 || took < drained/2 {
			return fmt.Errorf("gateway %d sent %d clients away over %s, as if it had no drain of %s", n+1, len(broken), took, drained)
		}
		since := time.Now()
		if err := gateway.Start(ctx); err != nil {
			return err
		}
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
	}
	stop()
	return t.awaitVisitors(ctx, visitors)
}

// breaksSince returns when connections ended after since, oldest first.
func breaksSince(visitors []*visitor, since time.Time) []time.Time {
	var all []time.Time
	for _, v := range visitors {
		v.mu.Lock()
		for _, at := range v.breaks {
			if at.After(since) {
				all = append(all, at)
			}
		}
		v.mu.Unlock()
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

func spread(moments []time.Time) time.Duration {
	if len(moments) == 0 {
		return 0
	}
	return moments[len(moments)-1].Sub(moments[0])
}
