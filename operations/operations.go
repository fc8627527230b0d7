package operations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/lease"
)

// ErrCannotUndo is returned by [Operator.UndoOperation] for an operation that runs, or that
// has removed what it would have to bring back. A retry does not help.
var ErrCannotUndo = errors.New("it cannot be undone")

// The targets of operations. The name of the projection or the job follows the first two.
const (
	TargetProjection = "projection/"
	TargetJob        = "job/"
	TargetReplay     = "replay into the log"
)

// nothingDone is the error of an operation that ended before it changed anything, so that
// there is nothing to be resumed or undone.
type nothingDone struct{ error }

// during runs work as an operation: it holds the lease of the operation's target, lists the
// operation while it runs, and leaves it in the list when it fails or is interrupted,
// unless work says that nothing was done.
func (o *Operator) during(ctx context.Context, operation lease.Operation, report Report, work func(ctx context.Context, report Report) error) error {
	operations, err := lease.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return err
	}
	operation.By = o.by
	held, running, err := operations.Begin(ctx, operation)
	if err != nil {
		return eventstore.Explain(o.nats.Conn(), err)
	}
	err = work(held, func(step string, done, total uint64) {
		running.Report(step, done, total)
		if report != nil {
			report(step, done, total)
		}
	})
	outcome := err
	if nothing := (nothingDone{}); errors.As(err, &nothing) {
		err, outcome = nothing.error, nil
	}
	if cause := context.Cause(held); err != nil && errors.Is(cause, lease.ErrLost) {
		err = errors.Join(err, cause)
	}
	err = eventstore.Explain(o.nats.Conn(), err)
	if outcome != nil {
		outcome = err
	}
	return errors.Join(err, running.End(ctx, outcome))
}

// Operations lists the operations that run, and those to be resumed or undone.
func (o *Operator) Operations(ctx context.Context) ([]lease.Operation, error) {
	operations, err := lease.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return nil, err
	}
	return operations.List(ctx)
}

// UndoOperation removes what an interrupted or failed operation left behind, and removes
// the operation from the list. emptyLog abandons a restore that has removed the log:
// gateways then create a new, empty one.
func (o *Operator) UndoOperation(ctx context.Context, target string, emptyLog bool) error {
	operations, err := lease.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return err
	}
	all, err := operations.List(ctx)
	if err != nil {
		return err
	}
	for _, operation := range all {
		if operation.Target != target {
			continue
		}
		if operation.State == lease.Running {
			return fmt.Errorf("%w: it runs; end it first", ErrCannotUndo)
		}
		if err := o.undo(ctx, operation, emptyLog); err != nil {
			return err
		}
		return operations.Forget(ctx, target)
	}
	return fmt.Errorf("%w: %q", lease.ErrNone, target)
}

func (o *Operator) undo(ctx context.Context, operation lease.Operation, emptyLog bool) error {
	name, projection := strings.CutPrefix(operation.Target, TargetProjection)
	switch {
	case projection:
		return o.undoRebuild(ctx, name)
	case operation.Target == lease.WholeLog:
		return o.undoRestore(ctx, operation, emptyLog)
	case strings.HasPrefix(operation.Target, TargetJob):
		return fmt.Errorf("%w: what was erased is gone; finish it: %s", ErrCannotUndo, operation.Resume)
	}
	return nil // what a replay has sent stays
}
