package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// lifecycle is the stack of what was started. It is stopped in reverse: a part
// goes before what it stands on.
type lifecycle struct {
	logger *slog.Logger
	steps  []step
	failed chan error // the first failure of a running part
}

// step is one part to stop.
type step struct {
	name string
	stop func(ctx context.Context) error
}

func newLifecycle(logger *slog.Logger) *lifecycle {
	return &lifecycle{logger: logger, failed: make(chan error, 1)}
}

// onStop adds a part that is running already.
func (l *lifecycle) onStop(name string, stop func(ctx context.Context) error) {
	l.steps = append(l.steps, step{name: name, stop: stop})
}

// run starts a part that blocks until its context ends. Its step ends that
// context and waits for the part. The first part that fails before that is told
// to failed, and ends the application.
func (l *lifecycle) run(name string, part func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { // ends when its step is stopped, or by itself on an error
		err := part(ctx)
		if err != nil && ctx.Err() == nil {
			select {
			case l.failed <- fmt.Errorf("%s: %w", name, err):
				err = nil // told once
			default:
			}
		}
		done <- err
	}()
	l.onStop(name, func(stopping context.Context) error {
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

// stop ends every part within the timeout. A part that fails, or takes too long,
// does not keep the others from being stopped; the errors are joined.
func (l *lifecycle) stop(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var failures []error
	for i := len(l.steps) - 1; i >= 0; i-- {
		began := time.Now()
		err := l.steps[i].stop(ctx)
		if err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", l.steps[i].name, err))
		}
		l.logger.Debug("stopped", "part", l.steps[i].name, "took", time.Since(began))
	}
	l.steps = nil
	return errors.Join(failures...)
}
