package gateway

import (
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

// Idle eviction costs one timer for each socket and no work for each message: activity only
// records the time, and the timer, when it fires, asks the guardrails how long the socket
// may stay.

// touch records activity: a ping, subscribe or unsubscribe. Engine.IO heartbeats do not
// count.
func (c *client) touch() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastActive = now
}

// watchIdle sets the idle timer of the socket according to the current limits. Without an
// idle timeout there is no timer. If the timeout was disabled before, it starts with this
// call. The caller holds the mutex.
func (c *client) watchIdle() {
	if c.gone {
		return
	}
	now := time.Now()
	if c.idle == nil {
		c.lastActive = now
	}
	remaining, running := c.gateway.limits.Load().Idle(now, c.lastActive)
	switch {
	case !running:
		c.stopIdle()
	case c.idle == nil:
		c.idle = time.AfterFunc(remaining, c.checkIdle)
		c.gateway.idleWatched.Add(1)
	default:
		c.idle.Reset(remaining)
	}
}

// stopIdle stops the timer. The caller holds the mutex.
func (c *client) stopIdle() {
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
		c.gateway.idleWatched.Add(-1)
	}
}

// checkIdle is called by the timer. It may be running when the timer is set again.
func (c *client) checkIdle() {
	defer c.gateway.hub.Guard().Recover("client timer", c.sink.Abort)
	decision := c.evict()
	if decision.Allowed() {
		c.gateway.count(decision, c.slot.Origin()) // in a dry run
		return
	}
	c.close(decision)
}

// evict decides whether the socket is closed for inactivity, and sets the timer again if it
// stays; in a dry run after a further idle timeout.
func (c *client) evict() guardrails.Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return guardrails.Decision{}
	}
	now := time.Now()
	decision := c.gateway.limits.Load().Evict(now, c.lastActive)
	if decision.DryRun {
		c.lastActive = now
	}
	if decision.Allowed() {
		c.watchIdle()
	}
	return decision
}
