package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// refreshSteps is the number of parts in which the sessions are saved again, one after the
// other over the refresh interval, so that the load on the log is steady.
const refreshSteps = 16

// Run keeps the sessions of connected sockets from expiring until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	if g.sessions == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(g.policy.SessionRefresh / refreshSteps)
	defer ticker.Stop()
	for step := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case evicted := <-g.evictions:
			_ = g.hub.Guard().Do("session eviction", func() error { g.forgetEvicted(ctx, evicted); return nil }) // Do logs a panic
			continue
		case <-ticker.C:
		}
		g.refresh(ctx, g.part(step))
		step = (step + 1) % refreshSteps
		g.keeping.Expire(time.Now().Add(-2 * g.policy.SessionRefresh)) // they have expired in the store, too
	}
}

// part returns the clients to refresh in a step.
func (g *Gateway) part(step int) []*client {
	g.mu.Lock()
	defer g.mu.Unlock()
	var part []*client
	for pid, c := range g.clients {
		if int(pid[0])%refreshSteps == step {
			part = append(part, c)
		}
	}
	return part
}

// refreshTogether bounds the sessions whose states are in memory at once for a renewal.
const refreshTogether = 256

// refresh keeps sessions from expiring, with one write for each that nobody else has saved.
// Sessions that cannot be renewed are read: one that has continued at another gateway is
// left unchanged, and its socket here is closed. While sessions cannot be read this is
// unknown, and they are saved.
func (g *Gateway) refresh(ctx context.Context, part []*client) {
	readable := true
	for together := range slices.Chunk(part, refreshTogether) {
		rest := together                                                                                    // also after a panic, which the next step repeats for its client alone
		_ = g.hub.Guard().Do("session renewal", func() error { rest = g.renew(ctx, together); return nil }) // noted there
		for _, c := range rest {
			g.refreshOne(ctx, c, &readable)
		}
	}
}

// renew renews the sessions of clients, and returns the clients that have a session which it
// could not renew.
func (g *Gateway) renew(ctx context.Context, together []*client) (rest []*client) {
	ids := make([]string, 0, len(together))
	byID := make(map[string]*client, len(together))
	for _, c := range together {
		ids = append(ids, c.pid)
		byID[c.pid] = c
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	for _, id := range g.sessions.Renew(ctx, ids, func(id string) []byte { return byID[id].current() }) {
		if c := byID[id]; c.current() != nil {
			rest = append(rest, c)
		}
	}
	return rest
}

// current returns the client's state now.
func (c *client) current() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state()
}

// refreshOne handles one session that was not renewed. A panic ends its client. readable is
// whether sessions can be read; refreshOne clears it when they cannot.
func (g *Gateway) refreshOne(ctx context.Context, c *client, readable *bool) {
	defer g.hub.Guard().Recover("session refresh", c.sink.Abort)
	if *readable {
		var moved bool
		if moved, *readable = g.moved(ctx, c); moved {
			g.keeping.Drop(c.pid)
			g.leave(c)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.save()
}

// moved reports whether another socket has the client's session, and whether that is known.
func (g *Gateway) moved(ctx context.Context, c *client) (moved, known bool) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	state, found, err := g.sessions.Load(ctx, c.pid)
	if err != nil {
		return false, false
	}
	var kept session
	if !found || json.Unmarshal(state, &kept) != nil {
		return false, true
	}
	return kept.Life > c.life || kept.Life == c.life && kept.By != c.by, true
}
