package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLifecycleStopsInReverse(t *testing.T) {
	t.Parallel()
	parts := newLifecycle(slog.New(slog.DiscardHandler))
	var order []string
	for _, name := range []string{"first", "second", "third"} {
		parts.onStop(name, func(context.Context) error {
			order = append(order, name)
			if name == "second" {
				return errors.New("broken")
			}
			return nil
		})
	}
	err := parts.stop(time.Second)
	if !slices.Equal(order, []string{"third", "second", "first"}) {
		t.Errorf("stopped in the order %v", order)
	}
	if err == nil || !strings.Contains(err.Error(), "stop second: broken") {
		t.Errorf("error %v does not name the step", err)
	}
	if err := parts.stop(time.Second); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

func TestLifecycleHasOneDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parts := newLifecycle(slog.New(slog.DiscardHandler))
		release := make(chan struct{})
		parts.onStop("lower", func(context.Context) error { return nil })
		parts.run("stuck", func(context.Context) error {
			<-release
			return nil
		})
		began := time.Now()
		err := parts.stop(3 * time.Second)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("stopped after %s, want 3s", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stop stuck") {
			t.Errorf("error %v, want the stuck part's deadline", err)
		}
		close(release)
	})
}

func TestLifecycleReportsTheFirstFailure(t *testing.T) {
	t.Parallel()
	parts := newLifecycle(slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	parts.run("part", func(context.Context) error { return broken })
	if err := <-parts.failed; !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "part: ") {
		t.Errorf("failure %v, want the part's name and cause", err)
	}
	if err := parts.stop(time.Second); err != nil {
		t.Errorf("stop %v tells the failure once more", err)
	}
}
