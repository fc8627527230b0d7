package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/operations/replay"
	"github.com/letswriteabook/realtime/projections"
)

// shownDifferences is how many differences a comparison lists, so that its result is kept.
const shownDifferences = 20

// Verify asks for a comparison of a read model, or of its shadow, with the log.
type Verify struct {
	Projection string `json:"projection"`
	Shadow     bool   `json:"shadow,omitempty"`
}

// Rebuild asks for a rebuild of a read model beside live traffic.
type Rebuild struct {
	Projection string `json:"projection"`
	// Restart begins with an empty shadow; otherwise one that is there is continued.
	Restart bool `json:"restart,omitempty"`
	// Swap puts the shadow into place when it equals the log, and DropOld drops what it
	// replaces.
	Swap    bool `json:"swap,omitempty"`
	DropOld bool `json:"dropOld,omitempty"`
}

// Swap asks to put a rebuilt read model into its place.
type Swap struct {
	Projection string `json:"projection"`
	DropOld    bool   `json:"dropOld,omitempty"`
}

// Erase asks to remove a job for good.
type Erase struct {
	JobID string `json:"jobId"`
	// Reason is kept for good, so it should name no person.
	Reason string `json:"reason"`
	// Overwrite overwrites each event and dead letter on disk, however many there are.
	Overwrite bool `json:"overwrite,omitempty"`
	// DryRun says what would be removed, and removes nothing.
	DryRun bool `json:"dryRun,omitempty"`
}

// Replay asks for a replay. Its target is not stdout.
type Replay struct {
	replay.Request
	// DryRun counts the events and estimates how long they take, and sends nothing.
	DryRun bool `json:"dryRun,omitempty"`
}

// Verify starts a comparison.
func (r *Runner) Verify(request Verify, by Caller) (lease.Work, error) {
	return r.onProjection("verify", request.Projection, request, by, false, func(ctx context.Context, model *operations.Rebuild) (any, error) {
		report, err := model.Compare(ctx, request.Shadow, shownDifferences)
		if errors.Is(err, operations.ErrDiffers) {
			err = nil // the result says so
		}
		return report, err
	})
}

// Rebuild starts a rebuild.
func (r *Runner) Rebuild(request Rebuild, by Caller) (lease.Work, error) {
	if request.DropOld && !request.Swap {
		return lease.Work{}, fmt.Errorf("%w: dropOld is for a rebuild with swap", ErrInvalid)
	}
	how := operations.Remake{
		Restart: request.Restart, Swap: request.Swap,
		Replacement: operations.Replacement{DropOld: request.DropOld, Show: shownDifferences},
	}
	return r.onProjection("rebuild", request.Projection, request, by, true, func(ctx context.Context, model *operations.Rebuild) (any, error) {
		return model.Remake(ctx, how)
	})
}

// Swap starts a swap.
func (r *Runner) Swap(request Swap, by Caller) (lease.Work, error) {
	how := operations.Replacement{DropOld: request.DropOld, Show: shownDifferences}
	return r.onProjection("swap", request.Projection, request, by, true, func(ctx context.Context, model *operations.Rebuild) (any, error) {
		return model.Replace(ctx, how)
	})
}

// onProjection starts work on one projection, which changes says needs the lease of it.
func (r *Runner) onProjection(kind, name string, request any, by Caller, changes bool, do func(context.Context, *operations.Rebuild) (any, error)) (lease.Work, error) {
	if err := projections.CheckName(name); err != nil {
		return lease.Work{}, fmt.Errorf("%w: projection: %w", ErrInvalid, err)
	}
	target, holds := operations.TargetProjection+name, ""
	if changes {
		holds = target
	}
	return r.start(kind, target, holds, request, by, func(ctx context.Context, operator *operations.Operator, report operations.Report) (result any, err error) {
		models, err := operator.Rebuilds(ctx, []string{name}, report)
		if err != nil {
			return nil, err
		}
		if !changes {
			return do(ctx, models[0])
		}
		resume := "realtime projections " + kind + " " + name
		err = models[0].Hold(ctx, kind, resume, func(ctx context.Context) (err error) {
			result, err = do(ctx, models[0])
			return err
		})
		return result, err
	})
}

// Erase starts an erasure.
func (r *Runner) Erase(request Erase, by Caller) (lease.Work, error) {
	if err := messaging.ValidateJobID(request.JobID); err != nil {
		return lease.Work{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if request.Reason = strings.TrimSpace(request.Reason); request.Reason == "" {
		return lease.Work{}, fmt.Errorf("%w: reason is missing: why is the job erased?", ErrInvalid)
	}
	target := operations.TargetJob + request.JobID
	holds := target
	if request.DryRun {
		holds = ""
	}
	return r.start("erase", target, holds, request, by, func(ctx context.Context, operator *operations.Operator, report operations.Report) (any, error) {
		asked := erasure.Request{JobID: request.JobID, By: by.String(), Reason: request.Reason, Overwrite: request.Overwrite}
		result, err := operator.Erase(ctx, asked, "the same erasure over the API, or with realtime erase", request.DryRun, report)
		return result, err
	})
}

// Replay starts a replay.
func (r *Runner) Replay(request Replay, by Caller) (lease.Work, error) {
	target, plan, err := request.Plan()
	if err == nil && target.Place == replay.ToStdout {
		err = errors.New("into is stdout: want nats:SUBJECT, redis:CHANNEL, collection:NAME, job:JOB or log")
	}
	if err != nil {
		return lease.Work{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	holds := ""
	if target.Place == replay.ToLog && !request.DryRun {
		holds = operations.TargetReplay
	}
	return r.start("replay", target.String(), holds, request, by, func(ctx context.Context, operator *operations.Operator, report operations.Report) (any, error) {
		plan.Told = func(done, total uint64) { report("replay", done, total) }
		summary, err := operator.Replay(ctx, target, request.Run, "the same replay over the API, with its run", plan, request.DryRun, io.Discard)
		if summary.Epoch == "" {
			return nil, err // it did not begin
		}
		return summary, err
	})
}

// List returns the work that runs, and the newest that has ended.
func (r *Runner) List(ctx context.Context) ([]lease.Work, error) { return r.cfg.Record.List(ctx) }

// Cancel ends work, at whichever gateway it runs.
func (r *Runner) Cancel(ctx context.Context, id string) (lease.Work, error) {
	return r.cfg.Record.Cancel(ctx, id)
}
