package drills

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/recovery/faults"
)

func gatewayCrash() Drill {
	return Drill{
		Name: "gateway-crash",
		Does: "Each of two gateways is killed in turn under traffic and started again. Clients resume on the other by their cursor, " +
			"publishing goes on through it, and nothing is lost or delivered twice.",
		Limit:  15 * time.Second,
		System: faults.System{Nodes: 1, Gateways: 2},
		run:    runGatewayCrash,
	}
}

func runGatewayCrash(ctx context.Context, t *faults.Trial, _ Scale) error {
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	for i, gateway := range t.Gateways {
		over := t.Fault(fmt.Sprintf("%s is killed", gateway.Name()))
		gateway.Kill()
		since := time.Now()
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
		if err := t.AwaitClients(ctx); err != nil {
			return err
		}
		recovered(t, fmt.Sprintf("clients have all (%d of %d)", i+1, len(t.Gateways)), since)
		if err := t.Outbox.AwaitMore(ctx, afterEvents); err != nil {
			return err
		}
		if err := gateway.Start(ctx); err != nil {
			return err
		}
		over()
		if err := t.Outbox.AwaitMore(ctx, afterEvents); err != nil {
			return err
		}
	}
	return nil
}
