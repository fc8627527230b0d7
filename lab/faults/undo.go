package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// undo is a change of a running system that a trial must undo.
type undo struct {
	what string
	run  func(ctx context.Context) error
}

// undoTime bounds the undoing of one change.
const undoTime = 2 * time.Minute

// Undo registers run, which undoes a change. run is called by now or, unless that
// succeeded, before the trial is judged, however it ends, the newest first. An interruption
// does not end the context of run.
func (t *Trial) Undo(what string, run func(ctx context.Context) error) (now func(ctx context.Context) error) {
	u := &undo{what: what, run: run}
	t.undos = append(t.undos, u)
	return func(ctx context.Context) error {
		at := slices.Index(t.undos, u)
		if at < 0 {
			return nil
		}
		if err := t.takeBack(ctx, u); err != nil {
			return err
		}
		t.undos = slices.Delete(t.undos, at, at+1)
		return nil
	}
}

func (t *Trial) takeBack(ctx context.Context, u *undo) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	t.Tell("undo: %s", u.what)
	if err := u.run(ctx); err != nil {
		return fmt.Errorf("NOT UNDONE: %s: %w", u.what, err)
	}
	return nil
}

// undoAll undoes the remaining changes.
func (t *Trial) undoAll(ctx context.Context) error {
	var all error
	for _, u := range slices.Backward(t.undos) {
		all = errors.Join(all, t.takeBack(ctx, u))
	}
	t.undos = nil
	return all
}
