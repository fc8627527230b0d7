package fanout

import (
	"context"
	"sync"
)

// crew starts the goroutines of a running hub, and waits for them.
//
// Its mutex is the innermost of the package, so that a goroutine can be started
// under any other.
type crew struct {
	mu sync.Mutex // guards ctx, and Go calls on wg against the wait
	// ctx ends with the run. It is kept because goroutines are started by whoever
	// finds the work: a live record, a client's request. Nil while not running.
	ctx context.Context
	wg  sync.WaitGroup
}

// begin lets goroutines start, until end.
func (c *crew) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
}

// end lets no more goroutines start, and waits for those there are.
func (c *crew) end() {
	c.mu.Lock()
	c.ctx = nil
	c.mu.Unlock()
	c.wg.Wait()
}

// spawn starts a goroutine, which ctx stops. It reports false, and starts
// nothing, when the hub is not running.
func (c *crew) spawn(work func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		return false
	}
	ctx := c.ctx
	c.wg.Go(func() { work(ctx) })
	return true
}
