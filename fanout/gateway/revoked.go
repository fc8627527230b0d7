package gateway

import (
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// CloseRevoked closes every socket and ends every event stream whose token
// [Policy].Revoked says counts no more. It returns how many.
func (g *Gateway) CloseRevoked() (closed int) {
	for _, c := range g.sockets.list() {
		if c.closeIfRevoked() {
			closed++
		}
	}
	for _, stream := range g.streams.list() {
		if g.revoked(stream.grant) {
			g.closed.WithLabelValues(string(messaging.CodeTokenInvalid)).Inc()
			stream.sink.end()
			closed++
		}
	}
	return closed
}

// closeIfRevoked closes a socket whose token counts no more.
func (c *client) closeIfRevoked() bool {
	c.mu.Lock()
	grant, gone := c.grant, c.gone
	c.mu.Unlock()
	if gone || !c.gateway.revoked(grant) {
		return false
	}
	c.close(messaging.NewProblem(messaging.CodeTokenInvalid))
	return true
}

// revoked reports whether the token of a grant counts no more.
func (g *Gateway) revoked(grant guardrails.Grant) bool {
	return g.policy.Revoked != nil && g.policy.Revoked(grant)
}
