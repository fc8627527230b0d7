package hub

import (
	"context"
	"sync"
)

// crew starts the goroutines of a hub, and waits for them. Those that are asked
// for before the hub runs start when it does.
//
// Its mutex is the innermost of the package, so that a goroutine can be started
// under any other.
type crew struct {
	mu sync.Mutex // guards the fields below, and starts against the wait
	// ctx ends with the run. It is kept because goroutines are started by whoever
	// finds the work: a live record, a client's request. Nil while not running.
	ctx   context.Context
	ended bool
	// early is what to start when the hub runs, one entry a room or reader.
	early []func(ctx context.Context)
	wg    sync.WaitGroup
}

// begin lets goroutines start, until end.
func (c *crew) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
	for _, work := range c.early {
		c.wg.Go(func() { work(ctx) })
	}
	c.early = nil
}

// end lets no more goroutines start, and waits for those there are.
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
		c.wg.Go(func() { work(ctx) })
	}
	return true
}
