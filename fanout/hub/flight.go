package hub

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/contain"
)

// flights bounds the reads of the history, in number and in time, and lets those
// who ask for the same at the same time share one read.
type flights struct {
	crew    *crew
	guard   *contain.Guard
	timeout time.Duration
	lanes   [len(slotsOf)]*lane
	shared  prometheus.Counter // reads that another had asked for

	mu       sync.Mutex // guards underWay, and askers of every flight
	underWay map[string]*flight
}

// flight is one read. value and err are set when landed is closed.
type flight struct {
	landed chan struct{}
	cancel context.CancelFunc
	askers int // who wait for it; it is cancelled with the last
	value  any
	err    error
}

func newFlights(crew *crew, guard *contain.Guard, timeout time.Duration, shared prometheus.Counter) *flights {
	f := &flights{crew: crew, guard: guard, timeout: timeout, shared: shared, underWay: make(map[string]*flight)}
	for class, slots := range slotsOf {
		f.lanes[class] = newLane(slots)
	}
	return f
}

// share runs read once for all that ask under one key while it is under way. The
// read ends with the hub, or when nobody waits for it any more; it counts as that of
// whoever asked first.
func share[T any](ctx context.Context, f *flights, by asker, key string, read func(context.Context) (T, error)) (result T, err error) {
	joined, err := f.join(by, key, func(ctx context.Context) (any, error) { return read(ctx) })
	if err != nil {
		return result, err
	}
	select {
	case <-joined.landed:
		result, _ = joined.value.(T)
		return result, joined.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-by.done:
		err = context.Canceled
	}
	f.abandon(key, joined)
	return result, err
}

// join returns the flight of a key, and starts it if there is none.
func (f *flights) join(by asker, key string, read func(context.Context) (any, error)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if joined, found := f.underWay[key]; found {
		f.shared.Inc()
		joined.askers++
		return joined, nil
	}
	reading, cancel := context.WithCancel(context.Background())
	started := &flight{landed: make(chan struct{}), cancel: cancel, askers: 1}
	running := f.crew.spawn(func(ctx context.Context) {
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		started.err = f.guard.Do("history", func() error {
			return f.bounded(reading, by, func(ctx context.Context) (err error) {
				started.value, err = read(ctx)
				return err
			})
		})
		f.mu.Lock()
		f.remove(key, started)
		f.mu.Unlock()
		close(started.landed)
	})
	if !running {
		cancel()
		return nil, errStopped
	}
	f.underWay[key] = started
	return started, nil
}

// abandon says that one of those who asked does not wait any longer.
func (f *flights) abandon(key string, joined *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if joined.askers--; joined.askers == 0 {
		f.remove(key, joined) // who asks from now on starts another
		joined.cancel()
	}
}

// remove is called with the mutex held.
func (f *flights) remove(key string, landed *flight) {
	if f.underWay[key] == landed {
		delete(f.underWay, key)
	}
}

// bounded runs read when there is a slot for it, with a time limit.
func (f *flights) bounded(ctx context.Context, by asker, read func(context.Context) error) error {
	lane := f.lanes[by.class]
	if err := lane.enter(ctx, by.client); err != nil {
		return err
	}
	defer lane.leave(by.client, 1)
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return read(ctx)
}
