package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/projections"
)

func operationRows() []Row {
	embedded := System{Mongo: true, Jobs: 6}
	server := System{Nodes: 1, Mongo: true, Jobs: 6, Gateways: 2}
	cluster := System{Nodes: 3, Mongo: true, Jobs: 6, Gateways: 2}
	return []Row{
		{Number: 30, Title: "two rebuilds and swaps at once, one of them killed, the log inside the gateway", Timeout: contendTime, System: embedded, Run: contend},
		{Number: 30, Variant: "server", Title: "two rebuilds and swaps at once, one of them killed, one NATS server", Timeout: contendTime, System: server, Run: contend},
		{Number: 30, Variant: "cluster", Title: "two rebuilds and swaps at once, one of them killed, 3 NATS nodes", Timeout: contendTime, System: cluster, Run: contend},
	}
}

// contendTime bounds row 30: FerretDB is slow in the upserts of a rebuild.
const contendTime = 8 * time.Minute

// contend runs several rebuilds and swaps of one projection at the same time while events
// are published, and kills a rebuild before it ends.
func contend(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, t.Scaled("events", 5000, 600, 300)); err != nil {
		return err
	}
	stop := t.Load(10)
	defer stop()
	target := "projection/" + projections.History
	first, operation, err := t.launchHeld(ctx, target, "projections", "rebuild", projections.History)
	if err != nil {
		return err
	}
	// The first rebuild is paused, and has the lease, while the others try.
	holder := fmt.Sprintf("by %s on %s (process %d)", operation.By, operation.Host, operation.PID)
	for _, args := range [][]string{
		{"projections", "rebuild", projections.History},
		{"projections", "swap", projections.History},
		{"projections", "rebuild", projections.History, "--restart", "--swap"},
	} {
		reason, err := t.operate(ctx, 1, nil, args...)
		if err != nil {
			return err
		}
		if !strings.Contains(reason, holder) {
			return fmt.Errorf("realtime %s does not say who runs the other, %s: %s", strings.Join(args, " "), holder, reason)
		}
	}
	t.Note("while one rebuild ran, two others and a swap were refused, and said: %s", holder)
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	if code := first.code(); code != 0 {
		return fmt.Errorf("the rebuild that was first ended with %d: %s", code, first.said)
	}
	if err := t.swapTwice(ctx); err != nil {
		return err
	}
	killed, _, err := t.launchHeld(ctx, target, "projections", "rebuild", projections.History)
	if err != nil {
		return err
	}
	killed.kill()
	left, err := t.operations(ctx)
	if err != nil {
		return err
	}
	if len(left) != 1 || left[0].State != lease.Interrupted || left[0].Target != target {
		return fmt.Errorf("after a rebuild was killed, the operations are %+v", left)
	}
	resume := strings.Fields(strings.TrimPrefix(left[0].Resume, "realtime "))
	if _, err := t.operate(ctx, 0, nil, resume...); err != nil {
		return err
	}
	if _, err := t.operate(ctx, 0, nil, "projections", "swap", projections.History); err != nil {
		return err
	}
	t.Note("the killed rebuild was resumed with %q", left[0].Resume)
	if err := t.expectNoOperation(ctx, nil); err != nil {
		return err
	}
	stop()
	return t.verifyModels(ctx)
}

// swapTwice starts two swaps at once. One must swap, and the other one must be refused or
// report that there is nothing to swap.
func (t *Trial) swapTwice(ctx context.Context) error {
	var both [2]*tool
	for i := range both {
		var err error
		if both[i], err = t.launch(ctx, nil, "projections", "swap", projections.History); err != nil {
			return err
		}
	}
	swapped := 0
	for i, swap := range both {
		text := ""
		if code := swap.code(); code == 0 {
			swapped++
			continue
		}
		text = swap.said.String()
		other := fmt.Sprintf("(process %d)", both[1-i].Process.Pid)
		if !strings.Contains(text, other) && !strings.Contains(text, "no shadow") {
			return fmt.Errorf("the swap that did not swap says: %s", text)
		}
	}
	if swapped != 1 {
		return fmt.Errorf("%d of two swaps at once have swapped: %s, %s", swapped, both[0].said, both[1].said)
	}
	return nil
}

// launchTries is how often launchHeld starts a command that ends before the list of
// operations shows it.
const launchTries = 5

// launchHeld starts a command, and pauses it with SIGSTOP once it has the lease of its
// target.
func (t *Trial) launchHeld(ctx context.Context, target string, args ...string) (*tool, lease.Operation, error) {
	for range launchTries {
		command, err := t.launch(ctx, nil, args...)
		if err != nil {
			return nil, lease.Operation{}, err
		}
		for running := true; running; {
			all, err := t.operations(ctx)
			if err != nil && !errors.Is(err, eventstore.ErrUnavailable) { // as while the new list has no leader
				return nil, lease.Operation{}, err
			}
			for _, operation := range all {
				if operation.Target == target && operation.State == lease.Running && operation.PID == command.Process.Pid {
					return command, operation, command.Process.Signal(syscall.SIGSTOP)
				}
			}
			select {
			case <-command.ended:
				running = false
			default:
				_ = wait.For(ctx, 5*time.Millisecond)
			}
		}
		if code := command.code(); code != 0 {
			return nil, lease.Operation{}, fmt.Errorf("realtime %s ended with %d: %s", strings.Join(args, " "), code, command.said)
		}
	}
	return nil, lease.Operation{}, errors.New("the command was over each time before it was found in the list of operations")
}

// operations lists the running and the interrupted operations.
func (t *Trial) operations(ctx context.Context) ([]lease.Operation, error) {
	conn, err := nats.Connect(t.natsURL(), nats.Name("fault run"))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	list, err := lease.New(conn, "")
	if err != nil {
		return nil, err
	}
	var all []lease.Operation
	err = insist(ctx, func(ctx context.Context) error {
		all, err = list.List(ctx)
		return err
	})
	return all, err
}
