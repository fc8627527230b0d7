package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

var (
	// errEpochChanged is returned when the log was restored or re-created during a
	// rebuild. A repeat starts over.
	errEpochChanged = errors.New("the log has begun a new epoch")

	// ErrBusy is returned by [Rebuild.Swap] when the live consumer still had batches in
	// flight, or the shadow had not caught up with it, after the time limit. Nothing was
	// changed; a later retry helps.
	ErrBusy = errors.New("the live consumer did not come to rest in time")

	// ErrNotEqual is returned by [Rebuild.Swap] when the shadow differs from the fold of
	// the log. Nothing was changed; a rebuild from the start helps.
	ErrNotEqual = errors.New("the shadow differs from the log")
)

// maxBatch is how many records are written at once.
const maxBatch = 500

// endGrace is how long an interruption waits for the batch that is being written.
const endGrace = 15 * time.Second

// Log is what a rebuild needs of the log; eventstore.Log implements it.
type Log interface {
	State(ctx context.Context) (messaging.Extent, error)
	Scan(ctx context.Context, first, last uint64, each func(messaging.Record) error) error
	Consume(ctx context.Context, consumer string, maxBatch int,
		apply func(ctx context.Context, records []messaging.Record) error) error
	ConsumerState(ctx context.Context, consumer string) (eventstore.ConsumerState, error)
	Behind(ctx context.Context, consumer string) (state eventstore.ConsumerState, ran bool, err error)
	ConsumerFresh(ctx context.Context, consumer string) (bool, error)
	PauseConsumer(ctx context.Context, consumer string, until time.Time) error
	ResumeConsumer(ctx context.Context, consumer string) error
	ForgetConsumer(ctx context.Context, consumer string) error
}

// Progress is how far a step is. Total is 0 while that is not known.
type Progress struct {
	Step        string
	Done, Total uint64
}

// Rebuild works on one projection. Its methods are for one caller at a time, in
// all processes.
type Rebuild struct {
	log    Log
	model  *projections.Model
	report func(Progress)
}

// New returns a rebuild of the model. report, which may be nil, is called with the progress,
// often and from the calling goroutine.
func New(log Log, model *projections.Model, report func(Progress)) *Rebuild {
	if report == nil {
		report = func(Progress) {}
	}
	return &Rebuild{log: log, model: model, report: report}
}

// Fill creates the shadow, or continues with an existing one, until it has what the log held
// at the call. restart begins with an empty shadow. When ctx ends, the batch that is being
// written is finished first, for at most 15 s.
func (r *Rebuild) Fill(ctx context.Context, restart bool) error {
	state, err := r.log.State(ctx)
	if err != nil {
		return err
	}
	if err := r.begin(ctx, restart); err != nil {
		return err
	}
	kept, err := r.copyKept(ctx, state)
	if err != nil {
		return err
	}
	if err := r.level(ctx, "fill", state.Epoch); err != nil || kept == 0 {
		return err
	}
	// Workers' documents were copied that the projection had not adopted, or not yet.
	r.report(Progress{Step: "mend events that stand twice"})
	_, err = r.model.Mend(ctx, projections.Mending{Epoch: state.Epoch, Shadow: true})
	return err
}

// level brings the shadow up to the head of the log.
func (r *Rebuild) level(ctx context.Context, step, epoch string) error {
	return r.follow(ctx, func(ctx context.Context) error {
		// The second round is for what was stored during the first.
		for range 2 {
			head, err := r.log.State(ctx)
			if err != nil {
				return err
			}
			if err := r.reach(ctx, step, epoch, head.Last); err != nil {
				return err
			}
		}
		return nil
	})
}

// begin creates the shadow. It replaces a shadow without a consumer, and a consumer without
// a shadow, because neither says what a shadow has.
func (r *Rebuild) begin(ctx context.Context, restart bool) error {
	found, err := r.model.Collections(ctx)
	if err != nil {
		return err
	}
	_, err = r.log.ConsumerState(ctx, r.model.RebuildConsumer())
	if err != nil && !errors.Is(err, eventstore.ErrNoConsumer) {
		return err
	}
	if restart || !found.Shadow || err != nil {
		if err := r.Discard(ctx); err != nil {
			return err
		}
	}
	return r.model.Prepare(ctx)
}

// Discard removes the shadow and its consumer.
func (r *Rebuild) Discard(ctx context.Context) error {
	// In this order, because begin detects a shadow without a consumer.
	if err := r.log.ForgetConsumer(ctx, r.model.RebuildConsumer()); err != nil {
		return err
	}
	return r.model.DropShadow(ctx)
}

func (r *Rebuild) copyKept(ctx context.Context, state messaging.Extent) (int, error) {
	return r.model.CopyKept(ctx, state, func(copied int) {
		r.report(Progress{Step: "carry over", Done: uint64(copied)})
	})
}

// follow fills the shadow for as long as while runs.
func (r *Rebuild) follow(ctx context.Context, while func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { // Stopped by cancel.
		defer close(ended)
		err := r.log.Consume(ctx, r.model.RebuildConsumer(), maxBatch, func(ctx context.Context, records []messaging.Record) error {
			// An interruption waits for the end of a batch: MongoDB may still execute a
			// command that was cancelled here, and so re-create a shadow that was dropped.
			work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
			defer giveUp()
			defer context.AfterFunc(ctx, func() { time.AfterFunc(endGrace, giveUp) })()
			return r.model.Apply(work, records)
		})
		if err != nil {
			cancel(err)
		}
	}()
	err := while(ctx)
	cancel(nil)
	<-ended
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// pollInterval is how often the state of a consumer is read. There is no notification of it.
const pollInterval = 50 * time.Millisecond

// reach waits until the shadow has everything up to the sequence.
func (r *Rebuild) reach(ctx context.Context, step, epoch string, target uint64) error {
	for {
		state, err := r.log.ConsumerState(ctx, r.model.RebuildConsumer())
		switch {
		case errors.Is(err, eventstore.ErrNoConsumer): // It is being created.
		case errors.Is(err, eventstore.ErrUnavailable): // The consumer waits for the log as well.
		case err != nil:
			return err
		default:
			now, err := r.log.State(ctx)
			if err == nil && now.Epoch != epoch {
				return fmt.Errorf("rebuild %s: %w", r.model.Name(), errEpochChanged)
			}
			r.report(Progress{Step: step, Done: min(state.Floor, target), Total: target})
			if state.Floor >= target {
				return nil
			}
		}
		if err := wait.For(ctx, pollInterval); err != nil {
			return err
		}
	}
}
