package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

func natsRows() []Row {
	cluster := System{Nodes: 3, Gateways: 2, Sockets: true}
	return []Row{
		{Number: 3, Title: "NATS leader kill -9, 3 nodes", Limit: 15 * time.Second, InCI: true, System: cluster, Run: killLeader},
		{Number: 4, Title: "NATS leader SIGSTOP for 20 s, 3 nodes", Limit: 10 * time.Second, System: cluster, Run: pauseLeader},
		{Number: 5, Title: "2 of 3 NATS nodes down", Limit: 30 * time.Second, System: cluster, Run: killMajority},
		{Number: 6, Title: "all NATS nodes kill -9, started again", Limit: 30 * time.Second, System: cluster, Run: killAllNodes},
	}
}

// killLeader kills the leader, and restarts it once events are acknowledged again.
func killLeader(ctx context.Context, t *Trial) error {
	kills := t.Scaled("kills", 5, 3, 1)
	stop := t.Load(200)
	defer stop()
	for range kills {
		leader, err := t.Lab.AwaitLeader(ctx)
		if err != nil {
			return err
		}
		if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
			return err
		}
		t.Lab.NATS(leader).Kill()
		if err := t.Resumed(ctx, time.Now()); err != nil {
			return err
		}
		if err := t.Lab.NATS(leader).Start(ctx); err != nil {
			return err
		}
	}
	t.Measure("kills", float64(kills), "")
	return nil
}

// pauseLeader pauses the leader without closing its connections.
func pauseLeader(ctx context.Context, t *Trial) error {
	stop := t.Load(200)
	defer stop()
	leader, err := t.Lab.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
		return err
	}
	if err := t.Lab.NATS(leader).Pause(); err != nil {
		return err
	}
	since := time.Now()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	if err := wait.For(ctx, time.Until(since.Add(20*time.Second))); err != nil {
		return err
	}
	if err := t.Lab.NATS(leader).Resume(); err != nil {
		return err
	}
	return t.Outbox.AwaitMore(ctx, 100)
}

// killMajority kills two of three nodes. The third must acknowledge nothing.
func killMajority(ctx context.Context, t *Trial) error {
	stop := t.Load(100)
	defer stop()
	leader, err := t.Lab.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
		return err
	}
	others := []int{(leader + 1) % 3, (leader + 2) % 3}
	for _, n := range others {
		t.Lab.NATS(n).Kill()
	}
	// Receipts of events that the majority has stored may still arrive.
	if err := wait.For(ctx, time.Second); err != nil {
		return err
	}
	before := t.Outbox.Acknowledged()
	if err := wait.For(ctx, 10*time.Second); err != nil {
		return err
	}
	if after := t.Outbox.Acknowledged(); after != before {
		return fmt.Errorf("%d events were acknowledged without a majority", after-before)
	}
	t.Note("nothing was acknowledged in 10 s without a majority")
	since := time.Now()
	for _, n := range others {
		if err := t.Lab.NATS(n).Start(ctx); err != nil {
			return err
		}
	}
	return t.Resumed(ctx, since)
}

// killAllNodes kills all nodes at the same time, and starts them again.
func killAllNodes(ctx context.Context, t *Trial) error {
	stop := t.Load(200)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 300); err != nil {
		return err
	}
	for n := range t.Lab.Nodes() {
		t.Lab.NATS(n).Kill()
	}
	since := time.Now()
	for n := range t.Lab.Nodes() {
		if err := t.Lab.NATS(n).Launch(); err != nil {
			return err
		}
	}
	for n := range t.Lab.Nodes() {
		if err := t.Lab.NATS(n).Ready(ctx); err != nil {
			return err
		}
	}
	return t.Resumed(ctx, since)
}
