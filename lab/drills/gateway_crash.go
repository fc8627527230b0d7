package drills

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/lab/faults"
)

func gatewayCrash() Drill {
	return Drill{
		Name: "gateway-crash",
		Does: "Each of two gateways is killed in turn under traffic and started again. Clients resume on the other by their cursor, " +
			"publishing goes on through it, and nothing is lost or delivered twice.",
		Limit:  15 * time.Second,
		System: faults.System{Nodes: 1, Gateways: 2},
		run:    runGatewayCrash,
		touches: func(running Running, scale Scale) ([]string, error) {
			if len(running.Gateways) < 2 {
				return nil, errors.New("its clients have to have a second gateway to go to: name both with --url")
			}
			return byCommands("a gateway")(running, scale)
		},
	}
}

func runGatewayCrash(ctx context.Context, t *faults.Trial, options Options) error {
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	gateways := gatewaysOf(t, options)
	for i, gateway := range gateways {
		over := t.Fault(fmt.Sprintf("%s is killed", gateway.name))
		back, err := gateway.take(ctx, t)
		if err != nil {
			return err
		}
		since := time.Now()
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
		if err := t.AwaitClients(ctx); err != nil {
			return err
		}
		recovered(t, fmt.Sprintf("clients have all (%d of %d)", i+1, len(gateways)), since)
		if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
			return err
		}
		if err := back(ctx); err != nil {
			return err
		}
		over()
		if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
			return err
		}
	}
	return nil
}

// gatewaysOf returns the gateways to kill in turn.
func gatewaysOf(t *faults.Trial, options Options) []part {
	if t.Running() {
		return []part{commanded(t, "a gateway", *options.Running)}
	}
	var all []part
	for _, gateway := range t.Gateways {
		all = append(all, process(gateway))
	}
	return all
}
