package hub

import (
	"context"
	"sync"

	"github.com/letswriteabook/realtime/internal/contain"
)

// crew starts the goroutines of a hub, and waits for them. Those that are requested
// before the hub runs start when it does.
//
// Its mutex is the innermost of the package, so that a goroutine can be started while
// any other is held.
type crew struct {
	guard *contain.Guard

	mu sync.Mutex // guards the fields below, and starts against the wait
	// ctx ends with the run. It is stored because live records and clients' requests,
	// which have other contexts, start goroutines. Nil while the hub does not run.
	ctx   context.Context
	ended bool
	// early is what to start when the hub runs: one entry for each room or reader.
	early []func(ctx context.Context)
	wg    sync.WaitGroup
}

// begin lets goroutines start, until end.
func (c *crew) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
	for _, work := range c.early {
		c.start(ctx, work)
	}
	c.early = nil
}

// end lets no more goroutines start, and waits for the others.
func (c *crew) end() {
	c.mu.Lock()
	c.ctx, c.ended = nil, true
	c.mu.Unlock()
	c.wg.Wait()
}

// spawn starts a goroutine, which ctx stops. It reports false, and starts
// nothing, when the hub has stopped.
func (c *crew) spawn(work func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ctx := c.ctx; {
	case c.ended:
		return false
	case ctx == nil:
		c.early = append(c.early, work)
	default:
		c.start(ctx, work)
	}
	return true
}

// persist is spawn for work that serves many clients: after a panic the work is run again.
func (c *crew) persist(goroutine string, work func(ctx context.Context)) bool {
	return c.spawn(func(ctx context.Context) {
		_ = c.guard.Persist(ctx, goroutine, func() error { work(ctx); return nil })
	})
}

// start starts a goroutine. The work contains its panics itself, where something follows
// from them. The mutex is held.
func (c *crew) start(ctx context.Context, work func(ctx context.Context)) {
	c.wg.Go(func() {
		defer c.guard.Recover("crew", nil)
		work(ctx)
	})
}
