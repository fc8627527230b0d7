package gateway

import "time"

// Idle eviction costs one timer a socket and nothing per message: a sign of
// life only notes the time, and the timer, when it fires, asks the guardrails
// how long the socket may still stay.

// idleOffCheck is how often a socket that began with an idle timeout looks whether there
// is one again.
const idleOffCheck = time.Minute

// touch notes a sign of life: a ping, subscribe or unsubscribe. Engine.IO
// heartbeats are none.
func (c *client) touch() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastActive = now
}

// watchIdle starts the socket's idle timer, if there is an idle timeout.
func (c *client) watchIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	remaining, running := c.gateway.limits.Load().Idle(c.lastActive, c.lastActive)
	if running {
		c.idle = time.AfterFunc(remaining, c.checkIdle)
		c.gateway.idleWatched.Add(1)
	}
}

func (c *client) checkIdle() {
	defer c.gateway.hub.Guard().Recover("client timer", c.sink.Abort)
	c.mu.Lock()
	last := c.lastActive
	limits := c.gateway.limits.Load()
	remaining, running := limits.Idle(time.Now(), c.lastActive)
	if !running { // the timeout was turned off; it may be turned on again
		remaining = idleOffCheck
	}
	stays := c.gone || remaining > 0
	if stays && !c.gone {
		c.idle.Reset(remaining)
	}
	c.mu.Unlock()
	if stays {
		return
	}
	decision := limits.Evict(time.Now(), last)
	c.gateway.count(decision, c.slot.Origin())
	if decision.Allowed() { // a dry run; it is looked at again after the next silence
		c.touch()
		c.checkIdle()
		return
	}
	c.gateway.evicted.Inc()
	c.close(decision.Problem())
}
