package drills

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/recovery/faults"
	"github.com/letswriteabook/realtime/recovery/internal/wait"
)

func nodeLoss() Drill {
	return Drill{
		Name: "node-loss",
		Does: "Of three NATS nodes the one that leads the log is killed under traffic, and started again after the outage. The others elect " +
			"a new leader, publishing goes on without the third, and in the end every copy is up to date.",
		Limit:  15 * time.Second,
		System: faults.System{Nodes: 3, Gateways: 2},
		run:    runNodeLoss,
	}
}

func runNodeLoss(ctx context.Context, t *faults.Trial, scale Scale) error {
	err := t.Lab.AwaitWhole(ctx)
	if err := t.Check("every copy of the log is up to date", fmt.Sprintf("%d copies", t.Lab.Replicas()), err); err != nil {
		return err
	}
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	leader, err := t.Lab.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	node := t.Lab.NATS(leader)
	over := t.Fault(node.Name() + ", the leader, is down")
	node.Kill()
	since := time.Now()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	t.Mark("publishing goes on")
	if err := wait.For(ctx, time.Until(since.Add(scale.outage()))); err != nil {
		return err
	}
	back := time.Now()
	if err := node.Start(ctx); err != nil {
		return err
	}
	over()
	if err := t.Lab.AwaitWhole(ctx); err != nil {
		return err
	}
	t.Mark("every copy is up to date")
	t.Measure("until every copy was up to date again", float64(time.Since(back).Milliseconds()), "ms")
	return t.Outbox.AwaitMore(ctx, afterEvents)
}
