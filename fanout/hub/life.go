package hub

import "context"

// life is how long something lasts that others work for: a room, a subscription.
// It is kept as a context because that work waits for stores and clients.
type life struct {
	ctx context.Context
	// end ends it. Repeated, it does nothing.
	end context.CancelFunc
}

func newLife() life {
	ctx, end := context.WithCancel(context.Background())
	return life{ctx: ctx, end: end}
}

// within returns a context that ends with ctx or with the life, or when release is
// called.
func (l life) within(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
