package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/letswriteabook/realtime/internal/contain"
)

// lifecycle is the stack of what was started. It is stopped in reverse: a part
// goes before what it stands on.
type lifecycle struct {
	logger *slog.Logger
	steps  []*step
	// kept is how many steps, those at the bottom, have a reserve of the time to stop.
	kept   int
	failed chan error // the first failure of a running part
	// guard makes a panic of a part, or of a stop, its error.
	guard *contain.Guard
}

// step is one part to stop.
type step struct {
	name string
	stop func(ctx context.Context) error
	// weight says which share of the time that is left the step may use, in proportion
	// to the weights of the steps after it.
	weight int
	// paced is set for a step that lasts as long as clients are sent away slowly.
	paced bool
}

// The bounds of a stop.
const (
	// reserve is the part of the time to stop that only the kept steps may use: one in
	// so many.
	reserve = 4
	// returning is the part of its share that a step has to return in, after its context
	// has ended: one in so many.
	returning = 10
)

func newLifecycle(logger *slog.Logger, guard *contain.Guard) *lifecycle {
	return &lifecycle{logger: logger, guard: guard, failed: make(chan error, 1)}
}

// onStop adds a part that is running already. Its step weighs 1.
func (l *lifecycle) onStop(name string, stop func(ctx context.Context) error) *step {
	added := &step{name: name, stop: stop, weight: 1}
	l.steps = append(l.steps, added)
	return added
}

// keep gives the steps that were added so far the reserve.
func (l *lifecycle) keep() { l.kept = len(l.steps) }

// run starts a part that blocks until its context ends. Its step ends that
// context and waits for the part. The first part that fails before that is told
// to failed, and ends the application.
func (l *lifecycle) run(name string, part func(ctx context.Context) error) *step {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { // ends when its step is stopped, or by itself on an error
		err := l.guard.Do(name, func() error { return part(ctx) })
		if err != nil && ctx.Err() == nil {
			select {
			case l.failed <- fmt.Errorf("%s: %w", name, err):
				err = nil // told once
			default:
			}
		}
		done <- err
	}()
	return l.onStop(name, func(stopping context.Context) error {
		cancel()
		select {
		case err := <-done:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-stopping.Done():
			return stopping.Err()
		}
	})
}

// stop ends every part within the timeout, and within pace more where paced steps use
// it. Each step has a share of the time: its weight divided by the weights that are
// left, of the time that is left. What a step does not use is left to those after it.
// A step that fails, or does not return in its share, does not keep the others from
// being stopped in order; the errors are joined.
func (l *lifecycle) stop(timeout, pace time.Duration) error {
	end := time.Now().Add(timeout)
	var failures []error
	for i := len(l.steps) - 1; i >= 0; i-- {
		began, share := time.Now(), l.share(i, timeout, time.Until(end))
		extra := time.Duration(0)
		if l.steps[i].paced {
			extra = pace
		}
		if err := l.steps[i].end(l.guard, share, extra); err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", l.steps[i].name, err))
		}
		took := time.Since(began)
		used := min(took, extra)
		pace, end = pace-used, end.Add(used)
		l.logger.Debug("stopped", "part", l.steps[i].name, "took", took)
	}
	l.steps, l.kept = nil, 0
	return errors.Join(failures...)
}

// share returns how much of what is left of the timeout the step may use.
func (l *lifecycle) share(i int, timeout, left time.Duration) time.Duration {
	lowest := 0
	if i >= l.kept && l.kept > 0 {
		lowest, left = l.kept, left-timeout/reserve
	}
	weights := 0
	for _, step := range l.steps[lowest : i+1] {
		weights += step.weight
	}
	return max(left, 0) * time.Duration(l.steps[i].weight) / time.Duration(weights)
}

// end stops the part. A step that ignores its context is given up, and its goroutine
// ends when it returns, or with the process.
func (s *step) end(guard *contain.Guard, share, extra time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), share-share/returning+extra)
	defer cancel()
	over := time.NewTimer(share + extra)
	defer over.Stop()
	ended := make(chan error, 1)
	go func() { // ends with the step, which may ignore ctx
		ended <- guard.Do(s.name, func() error { return s.stop(ctx) })
	}()
	select {
	case err := <-ended:
		return err
	case <-over.C:
		return fmt.Errorf("given up after %s: %w", share+extra, context.DeadlineExceeded)
	}
}
