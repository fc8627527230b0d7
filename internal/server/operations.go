package server

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"

	"github.com/letswriteabook/realtime/eventstore"
)

// Operation is one change in several steps, as "realtime operations" lists it.
type Operation = eventstore.Operation

// ErrCannotUndo is what undoing an operation ends with that has gone too far for it.
var ErrCannotUndo = errors.New("it cannot be undone")

// The targets of operations.
const (
	targetProjection = "projection/"
	targetJob        = "job/"
	targetReplay     = "replay into the log"
)

// during runs work as an operation: with its lease, in the list while it runs, and left
// there when it fails or is interrupted.
func (o *Operator) during(ctx context.Context, operation Operation, report func(string, uint64, uint64), work func(ctx context.Context, report func(string, uint64, uint64)) error) error {
	operations, err := eventstore.NewOperations(o.conn)
	if err != nil {
		return err
	}
	if current, err := user.Current(); err == nil {
		operation.By = current.Username
	}
	held, lease, err := operations.Begin(ctx, operation)
	if err != nil {
		return eventstore.Explain(o.conn, err)
	}
	err = work(held, func(step string, done, total uint64) {
		lease.Report(step, done, total)
		if report != nil {
			report(step, done, total)
		}
	})
	if cause := context.Cause(held); err != nil && errors.Is(cause, eventstore.ErrLeaseLost) {
		err = errors.Join(err, cause)
	}
	err = eventstore.Explain(o.conn, err)
	return errors.Join(err, lease.End(ctx, err))
}

// Operations lists the operations that run, and those that wait to be resumed or undone.
func (o *Operator) Operations(ctx context.Context) ([]Operation, error) {
	operations, err := eventstore.NewOperations(o.conn)
	if err != nil {
		return nil, err
	}
	return operations.List(ctx)
}

// UndoOperation removes what an interrupted or failed operation has left, and takes it
// off the list. emptyLog gives up a restore that has removed the log: gateways then make
// a new, empty one.
func (o *Operator) UndoOperation(ctx context.Context, target string, emptyLog bool) error {
	operations, err := eventstore.NewOperations(o.conn)
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
		if operation.State == eventstore.OperationRuns {
			return fmt.Errorf("%w: it runs; end it first", ErrCannotUndo)
		}
		if err := o.undo(ctx, operation, emptyLog); err != nil {
			return err
		}
		return operations.Forget(ctx, target)
	}
	return fmt.Errorf("%w: %q", eventstore.ErrNoOperation, target)
}

func (o *Operator) undo(ctx context.Context, operation Operation, emptyLog bool) error {
	name, projection := strings.CutPrefix(operation.Target, targetProjection)
	switch {
	case projection:
		return o.undoRebuild(ctx, name)
	case operation.Target == eventstore.WholeLog:
		return o.undoRestore(ctx, operation, emptyLog)
	case strings.HasPrefix(operation.Target, targetJob):
		return fmt.Errorf("%w: what was erased is gone; finish it: %s", ErrCannotUndo, operation.Resume)
	}
	return nil // what a replay has handed on stays
}

func (o *Operator) undoRebuild(ctx context.Context, name string) error {
	rebuilds, err := o.Rebuilds(ctx, []string{name}, func(string, uint64, uint64) {})
	if err != nil {
		return err
	}
	found, err := rebuilds[0].Collections(ctx)
	if err != nil {
		return err
	}
	if found.Unfinished {
		return fmt.Errorf("%w: its collections were moved; finish it: realtime projections swap %s", ErrCannotUndo, name)
	}
	return rebuilds[0].Discard(ctx)
}

func (o *Operator) undoRestore(ctx context.Context, operation Operation, emptyLog bool) error {
	archive, err := eventstore.NewArchive(o.conn)
	if err != nil {
		return err
	}
	gone := false
	for _, stream := range archive.Streams() {
		there, restoring, err := archive.Restoring(ctx, stream)
		if err != nil {
			return err
		}
		gone = gone || restoring || !there && stream == archive.Streams()[0]
	}
	if gone && !emptyLog {
		return fmt.Errorf("%w: the log that was there is removed already; finish it: %s; or give it up with --empty-log", ErrCannotUndo, operation.Resume)
	}
	for _, stream := range archive.Streams() {
		if err := archive.Remove(ctx, eventstore.Beside(stream)); err != nil {
			return err
		}
		if _, restoring, err := archive.Restoring(ctx, stream); err != nil {
			return err
		} else if restoring {
			if err := archive.Remove(ctx, stream); err != nil {
				return err
			}
		}
	}
	return nil
}

// Hold runs work on the projection as an operation: one at a time, in all processes.
func (r *Rebuild) Hold(ctx context.Context, kind string, work func(ctx context.Context) error) error {
	operation := Operation{
		Target: targetProjection + r.Model.Name(), Kind: kind, Resume: "realtime projections " + kind + " " + r.Model.Name(),
	}
	var nothing error
	err := r.operator.during(ctx, operation, nil, func(ctx context.Context, report func(string, uint64, uint64)) error {
		r.told = report
		defer func() { r.told = nil }()
		err := work(ctx)
		if errors.Is(err, ErrNoShadow) {
			nothing, err = err, nil // which leaves nothing to resume
		}
		return err
	})
	return errors.Join(nothing, err)
}
