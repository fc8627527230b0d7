package fanout

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/contain"
)

// readsAtOnce bounds the reads of the history that are under way. At the bound
// further ones wait.
const readsAtOnce = 32

// flights bounds the reads of the history, in number and in time, and lets those
// who ask for the same page at the same time share one read.
type flights struct {
	crew    *crew
	guard   *contain.Guard
	timeout time.Duration
	slots   chan struct{}
	shared  prometheus.Counter // pages that another had asked for

	mu       sync.Mutex // guards underWay
	underWay map[string]*flight
}

// flight is one read. page and err are set when landed is closed.
type flight struct {
	landed chan struct{}
	page   page
	err    error
}

func newFlights(crew *crew, guard *contain.Guard, timeout time.Duration, shared prometheus.Counter) *flights {
	return &flights{
		crew: crew, guard: guard, timeout: timeout, shared: shared,
		slots: make(chan struct{}, readsAtOnce), underWay: make(map[string]*flight),
	}
}

// share runs read once for all that ask under one key while it is under way. The
// read ends with the hub, not with whoever asked first.
func (f *flights) share(ctx context.Context, key string, read func(context.Context) (page, error)) (page, error) {
	joined, err := f.join(key, read)
	if err != nil {
		return page{}, err
	}
	select {
	case <-joined.landed:
		return joined.page, joined.err
	case <-ctx.Done():
		return page{}, ctx.Err()
	}
}

// join returns the flight of a key, and starts it if there is none.
func (f *flights) join(key string, read func(context.Context) (page, error)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if joined, found := f.underWay[key]; found {
		f.shared.Inc()
		return joined, nil
	}
	started := &flight{landed: make(chan struct{})}
	running := f.crew.spawn(func(ctx context.Context) {
		started.err = f.guard.Do("history", func() error {
			return f.bounded(ctx, func(ctx context.Context) (err error) {
				started.page, err = read(ctx)
				return err
			})
		})
		f.mu.Lock()
		delete(f.underWay, key)
		f.mu.Unlock()
		close(started.landed)
	})
	if !running {
		return nil, ErrStopped
	}
	f.underWay[key] = started
	return started, nil
}

// bounded runs read when there is a slot for it, with a time limit.
func (f *flights) bounded(ctx context.Context, read func(context.Context) error) error {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.slots }()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return read(ctx)
}
