package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// flights bounds the reads of the history, in number and in time, and lets concurrent
// requests for the same page share one read.
type flights struct {
	crew    *crew
	timeout time.Duration
	lanes   [len(slotsOf)]*lane
	shared  prometheus.Counter // requests that joined a read

	mu       sync.Mutex // guards underWay, and waiting of every flight
	underWay map[string]*flight
}

// flight is one read. value and err are set when landed is closed.
type flight struct {
	landed  chan struct{}
	cancel  context.CancelFunc
	claim   *claim // of all requests that share the read
	waiting int    // requests; the read is cancelled when the last gives up
	value   any
	err     error
}

func newFlights(crew *crew, timeout time.Duration, shared prometheus.Counter) *flights {
	f := &flights{crew: crew, timeout: timeout, shared: shared, underWay: make(map[string]*flight)}
	for class, slots := range slotsOf {
		f.lanes[class] = newLane(slots)
	}
	return f
}

// share runs read once for all requests with one key and class while it is under way. The
// read ends with the hub, or when no request waits for it any more. It begins as soon as a
// slot is free for any of the clients that wait for it.
func share[T any](ctx context.Context, f *flights, by asker, key string, read func(context.Context) (T, error)) (result T, err error) {
	key = fmt.Sprintf("%d %s", by.class, key)
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
	f.abandon(by, key, joined)
	return result, err
}

// join returns the flight of a key, and starts one if none is under way.
func (f *flights) join(by asker, key string, read func(context.Context) (any, error)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if joined, found := f.underWay[key]; found {
		f.shared.Inc()
		joined.waiting++
		f.lanes[by.class].join(by.claim, joined.claim)
		return joined, nil
	}
	reading, cancel := context.WithCancel(context.Background())
	claim := &claim{clients: make(map[string]int)}
	started := &flight{landed: make(chan struct{}), cancel: cancel, claim: claim, waiting: 1}
	f.lanes[by.class].join(by.claim, claim)
	running := f.crew.spawn(func(ctx context.Context) {
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		started.err = f.crew.guard.Do("history", func() error {
			return f.bounded(reading, asker{class: by.class, claim: claim}, func(ctx context.Context) (err error) {
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

// abandon counts a request that no longer waits.
func (f *flights) abandon(by asker, key string, joined *flight) {
	f.lanes[by.class].part(by.claim)
	f.mu.Lock()
	defer f.mu.Unlock()
	if joined.waiting--; joined.waiting == 0 {
		f.remove(key, joined) // the next request starts another
		joined.cancel()
	}
}

// remove is called with the mutex held.
func (f *flights) remove(key string, landed *flight) {
	if f.underWay[key] == landed {
		delete(f.underWay, key)
	}
}

// bounded runs read when a slot is free, with a time limit.
func (f *flights) bounded(ctx context.Context, by asker, read func(context.Context) error) error {
	lane := f.lanes[by.class]
	if err := lane.wait(ctx, by.claim); err != nil {
		return err
	}
	defer lane.leave(by.claim.payer, 1)
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return read(ctx)
}
