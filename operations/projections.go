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

// ErrDiffers is returned by comparisons that found differences. A retry does not help.
var ErrDiffers = errors.New("what MongoDB holds differs from the log")

// Remake is how a projection is rebuilt.
type Remake struct {
	// Restart begins with an empty shadow; otherwise one that is there is continued.
	Restart bool
	// Swap puts the shadow into place when it equals the log.
	Swap bool
	Replacement
}

// Replacement is how a shadow is put into place.
type Replacement struct {
	// DropOld drops the replaced collections, also those of earlier swaps.
	DropOld bool
	// Show is how many differences are listed at most.
	Show int
}

// Rebuilt is what a rebuild or swap did.
type Rebuilt struct {
	Swapped rebuild.Swapped `json:"swapped"`
	Dropped []string        `json:"dropped,omitempty"`
}

// Compare compares the projection's collection, or its shadow, with the log. It returns
// [ErrDiffers] with the report when they differ.
func (r *Rebuild) Compare(ctx context.Context, shadow bool, show int) (rebuild.Report, error) {
	report, err := r.Verify(ctx, shadow, show)
	if err == nil && !report.Equal {
		err = ErrDiffers
	}
	return report, err
}

// Remake fills the shadow from the log and compares it, or swaps it into place. It returns
// [ErrDiffers] when the shadow differs from the log.
func (r *Rebuild) Remake(ctx context.Context, how Remake) (Rebuilt, error) {
	if err := r.Fill(ctx, how.Restart); err != nil {
		return Rebuilt{}, err
	}
	if how.Swap {
		return r.Replace(ctx, how.Replacement)
	}
	report, err := r.Compare(ctx, true, how.Show)
	return Rebuilt{Swapped: rebuild.Swapped{Projection: r.Name(), Compared: &report}}, err
}

// Replace puts the shadow into place. It returns [ErrDiffers] when the shadow differs from
// the log.
func (r *Rebuild) Replace(ctx context.Context, how Replacement) (Rebuilt, error) {
	var result Rebuilt
	var err error
	result.Swapped, err = r.Swap(ctx, how.Show)
	if compared := result.Swapped.Compared; err != nil && compared != nil && !compared.Equal {
		return result, ErrDiffers
	}
	if how.DropOld && (err == nil || errors.Is(err, projections.ErrNoShadow)) {
		result.Dropped, err = r.DropOld(ctx)
	}
	return result, err
}

// Hold runs work on the projection as an operation: one at a time, in all processes.
// resume is the command that continues it after an interruption. After [ErrDiffers] there is
// nothing to resume.
func (r *Rebuild) Hold(ctx context.Context, kind, resume string, work func(ctx context.Context) error) error {
	operation := lease.Operation{
		Target: TargetProjection + r.Model.Name(), Kind: kind, Resume: resume,
	}
	return r.operator.during(ctx, operation, nil, func(ctx context.Context, report Report) error {
		r.held = report
		defer func() { r.held = nil }()
		err := work(ctx)
		if errors.Is(err, projections.ErrNoShadow) || errors.Is(err, ErrDiffers) {
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
