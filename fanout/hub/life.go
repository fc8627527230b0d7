package hub

import (
	"context"
	"slices"
	"sync"
)

// life ends with a room or a subscription, and ends the work for it. The zero value is ready
// for use. It takes no memory while there is no work: a context would keep a channel and
// a map for each of the many live subscriptions.
type life struct {
	mu    sync.Mutex // guards the fields below
	ended bool
	work  []*context.CancelFunc // of the work under way
}

// end ends the life. It may be called more than once.
func (l *life) end() {
	l.mu.Lock()
	work := l.work
	l.ended, l.work = true, nil
	l.mu.Unlock()
	for _, cancel := range work {
		(*cancel)()
	}
}

// within returns a context that ends with ctx or with the life, or when release is
// called.
func (l *life) within(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		cancel()
		return ctx, cancel
	}
	l.work = append(l.work, &cancel)
	return ctx, func() {
		cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.work = slices.DeleteFunc(l.work, func(other *context.CancelFunc) bool { return other == &cancel })
		if len(l.work) == 0 {
			l.work = nil
		}
	}
}
