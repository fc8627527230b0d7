package hub

import "context"

// life ends with a room or a subscription, and ends the work for it. It is a context
// because that work waits for stores and clients.
type life struct {
	ctx context.Context
	// end ends the life. It may be called more than once.
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
