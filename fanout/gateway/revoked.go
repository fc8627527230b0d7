package gateway

import (
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// CloseRevoked closes every socket and ends every event stream whose token is revoked
// according to [Policy].Revoked. It returns their number.
func (g *Gateway) CloseRevoked() (closed int) {
	for _, c := range g.sockets.list() {
		if c.closeIfRevoked() {
			closed++
		}
	}
	for _, stream := range g.streams.list() {
		if g.revoked(stream.grant) && g.closeStream(stream, guardrails.Decision{Code: messaging.CodeTokenInvalid}) {
			closed++
		}
	}
	return closed
}

// closeIfRevoked closes a socket whose token is revoked.
func (c *client) closeIfRevoked() bool {
	c.mu.Lock()
	grant := c.grant
	c.mu.Unlock()
	return c.gateway.revoked(grant) && c.close(guardrails.Decision{Code: messaging.CodeTokenInvalid})
}

// revoked reports whether the token of a grant is revoked.
func (g *Gateway) revoked(grant guardrails.Grant) bool {
	return g.policy.Revoked != nil && g.policy.Revoked(grant)
}
