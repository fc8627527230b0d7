package operations

import (
	"context"
	"errors"
	"fmt"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

// Rebuild is the rebuild of one projection, and the model that it works on.
type Rebuild struct {
	*rebuild.Rebuild
	*projections.Model

	operator *Operator
	held     Report // nil outside of [Rebuild.Hold]
}

// Rebuilds returns a rebuild for each of the named projections, or for all when no name
// is given. report gets their progress.
func (o *Operator) Rebuilds(ctx context.Context, names []string, report Report) ([]*Rebuild, error) {
	if len(names) == 0 {
		names = projections.Names()
	}
	store, err := o.models()
	if err != nil {
		return nil, err
	}
	log, err := o.log(ctx)
	if err != nil {
		return nil, err
	}
	store.Honour(backends.Erasures{Audit: audit.Beside(log.Client())})
	var rebuilds []*Rebuild
	for _, name := range names {
		model, err := store.Model(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", config.ErrInvalid, err)
		}
		r := &Rebuild{Model: model, operator: o}
		r.Rebuild = rebuild.New(log, model, func(p rebuild.Progress) {
			report(name+": "+p.Step, p.Done, p.Total)
			if r.held != nil {
				r.held(p.Step, p.Done, p.Total)
			}
		})
		rebuilds = append(rebuilds, r)
	}
	return rebuilds, nil
}

// Hold runs work on the projection as an operation: one at a time, in all processes.
// resume is the command that continues it after an interruption.
func (r *Rebuild) Hold(ctx context.Context, kind, resume string, work func(ctx context.Context) error) error {
	operation := lease.Operation{
		Target: targetProjection + r.Model.Name(), Kind: kind, Resume: resume,
	}
	return r.operator.during(ctx, operation, nil, func(ctx context.Context, report Report) error {
		r.held = report
		defer func() { r.held = nil }()
		err := work(ctx)
		if errors.Is(err, projections.ErrNoShadow) {
			return nothingDone{err}
		}
		return err
	})
}

// undoRebuild discards the shadow of an interrupted rebuild.
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
