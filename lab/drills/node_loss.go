package drills

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/faults"
)

func nodeLoss() Drill {
	return Drill{
		Name: "node-loss",
		Does: "Of three NATS nodes the one that leads the log is killed under traffic, and started again after the outage. The others elect " +
			"a new leader, publishing goes on without the third, and in the end every copy is up to date.",
		Limit:   15 * time.Second,
		System:  faults.System{Nodes: 3, Gateways: 2},
		run:     runNodeLoss,
		touches: byCommands("a NATS node, at best the one that leads the log"),
	}
}

func runNodeLoss(ctx context.Context, t *faults.Trial, options Options) error {
	copies, err := t.AwaitWhole(ctx)
	if err == nil && copies < 3 {
		err = faults.Skip("the log has too few copies to lose one, %d of 3", copies)
	}
	if err := t.Check("every copy of the log is up to date", fmt.Sprintf("%d copies", copies), err); err != nil {
		return err
	}
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	node, err := nodeOf(ctx, t, options)
	if err != nil {
		return err
	}
	over := t.Fault(node.name + " is down")
	giveBack, err := node.take(ctx, t)
	if err != nil {
		return err
	}
	since := time.Now()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	t.Mark("publishing goes on")
	if err := wait.For(ctx, time.Until(since.Add(options.Scale.outage()))); err != nil {
		return err
	}
	back := time.Now()
	if err := giveBack(ctx); err != nil {
		return err
	}
	over()
	if _, err := t.AwaitWhole(ctx); err != nil {
		return err
	}
	t.Mark("every copy is up to date")
	t.Measure("until every copy was up to date again", float64(time.Since(back).Milliseconds()), "ms")
	return t.Outbox.AwaitMore(ctx, some(t))
}

// nodeOf returns the node to stop. In a system of the drill's own it is the node that leads
// the log.
func nodeOf(ctx context.Context, t *faults.Trial, options Options) (part, error) {
	if t.Running() {
		return commanded(t, "a NATS node", *options.Running), nil
	}
	leader, err := t.Lab.AwaitLeader(ctx)
	if err != nil {
		return part{}, err
	}
	node := process(t.Lab.NATS(leader))
	node.name += ", the leader,"
	return node, nil
}
