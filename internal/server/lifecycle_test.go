package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/contain"
)

// unwatchedGuard returns a guard whose counts and logs nobody reads.
func unwatchedGuard() *contain.Guard {
	return contain.New(prometheus.NewCounter(prometheus.CounterOpts{Name: "panics_total"}), slog.New(slog.DiscardHandler))
}

func TestLifecycleStopsInReverse(t *testing.T) {
	t.Parallel()
	parts := newLifecycle(slog.New(slog.DiscardHandler), unwatchedGuard())
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
	err := parts.stop(time.Second, 0)
	if !slices.Equal(order, []string{"third", "second", "first"}) {
		t.Errorf("stopped in the order %v", order)
	}
	if err == nil || !strings.Contains(err.Error(), "stop second: broken") {
		t.Errorf("error %v does not name the step", err)
	}
	if err := parts.stop(time.Second, 0); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

// TestLifecycleSharesTheTime: whichever steps hang, whether or not they end with their
// context, the others are stopped in order and within the time, and those that keep the
// data have their reserve.
func TestLifecycleSharesTheTime(t *testing.T) {
	t.Parallel()
	const timeout, pace = 12 * time.Second, 5 * time.Second
	names := []string{"embedded log", "known ids", "session store", "hub", "live tail", "http", "sockets", "ingest", "guest"}
	const kept = 4
	hanging := map[string][]int{"every one that is not kept": {4, 5, 6, 7, 8}, "all but the log": {1, 2, 3, 4, 5, 6, 7, 8}}
	for i, name := range names {
		hanging[name] = []int{i}
	}
	for which, hang := range hanging {
		for _, deaf := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parts := newLifecycle(slog.New(slog.DiscardHandler), unwatchedGuard())
				release := make(chan struct{})
				began := time.Now()
				var mu sync.Mutex // guards the two below: a step that was given up is not waited for
				var order []string
				var deadline time.Duration // of the hub's step
				for i, name := range names {
					added := parts.onStop(name, func(ctx context.Context) error {
						mu.Lock()
						order = append(order, name)
						if name == "hub" {
							end, _ := ctx.Deadline()
							deadline = time.Until(end)
						}
						mu.Unlock()
						if !slices.Contains(hang, i) {
							return nil
						}
						if deaf {
							<-release
							return nil
						}
						<-ctx.Done()
						return ctx.Err()
					})
					switch name {
					case "hub":
						parts.keep()
					case "ingest":
						added.weight = ingestWeight
					case "sockets":
						added.weight, added.paced = closingWeight, true
					}
				}
				err := parts.stop(timeout, pace)
				took := time.Since(began)
				close(release)
				mu.Lock()
				defer mu.Unlock()
				slices.Reverse(order)
				if !slices.Equal(order, names) {
					t.Errorf("%s hangs: stopped in the order %v", which, order)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s hangs: error %v", which, err)
				}
				for _, i := range hang {
					if !strings.Contains(err.Error(), "stop "+names[i]) {
						t.Errorf("%s hangs: %v does not name %s", which, err, names[i])
					}
				}
				most := timeout
				if slices.Contains(hang, slices.Index(names, "sockets")) {
					most += pace
				}
				if took > most {
					t.Errorf("%s hangs: stopped after %s, more than %s", which, took, most)
				}
				if deadline < timeout/reserve/kept*(returning-1)/returning {
					t.Errorf("%s hangs: the hub's step has %s", which, deadline)
				}
			})
		}
	}
}

// TestLifecycleLeavesTimeToIngest: it drains for half of the time.
func TestLifecycleLeavesTimeToIngest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parts := newLifecycle(slog.New(slog.DiscardHandler), unwatchedGuard())
		parts.onStop("log", func(context.Context) error { return nil })
		parts.keep()
		for range 10 {
			parts.onStop("other", func(context.Context) error { return nil })
		}
		for range 4 {
			parts.onStop("clients", func(context.Context) error { return nil }).weight = closingWeight
		}
		parts.run("ingest", func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(6 * time.Second)
			return nil
		}).weight = ingestWeight
		parts.onStop("readiness", func(context.Context) error { return nil })
		if err := parts.stop(12*time.Second, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestLifecycleReportsTheFirstFailure(t *testing.T) {
	t.Parallel()
	parts := newLifecycle(slog.New(slog.DiscardHandler), unwatchedGuard())
	broken := errors.New("broken")
	parts.run("part", func(context.Context) error { return broken })
	if err := <-parts.failed; !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "part: ") {
		t.Errorf("failure %v, want the part's name and cause", err)
	}
	if err := parts.stop(time.Second, 0); err != nil {
		t.Errorf("stop %v tells the failure once more", err)
	}
}
