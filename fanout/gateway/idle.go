package gateway

import (
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

// Idle eviction costs one timer a socket and nothing per message: a sign of
// life only notes the time, and the timer, when it fires, asks the guardrails
// how long the socket may still stay.

// touch notes a sign of life: a ping, subscribe or unsubscribe. Engine.IO
// heartbeats are none.
func (c *client) touch() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastActive = now
}

// watchIdle sets the timer of the socket's idle time to the end of it, under the limits in
// force. Without an idle timeout there is no timer. One that was off begins with the call.
// The mutex is held.
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

// stopIdle stops the timer. The mutex is held.
func (c *client) stopIdle() {
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
		c.gateway.idleWatched.Add(-1)
	}
}

// checkIdle is the timer's function. It may be under way when the timer is set again.
func (c *client) checkIdle() {
	defer c.gateway.hub.Guard().Recover("client timer", c.sink.Abort)
	decision := c.evict()
	if decision.Allowed() {
		c.gateway.count(decision, c.slot.Origin()) // in a dry run
		return
	}
	c.close(decision)
}

// evict decides whether the socket is closed for its silence, and sets the timer again for
// one that stays. In a dry run that is after another silence.
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
