package gateway

import (
	"maps"
	"slices"
	"sync"

	"github.com/letswriteabook/realtime/messaging"
)

// roster has every connected socket. The zero value has none.
type roster struct {
	mu      sync.Mutex // guards sockets
	sockets map[*client]struct{}
}

func (r *roster) add(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets == nil {
		r.sockets = make(map[*client]struct{})
	}
	r.sockets[c] = struct{}{}
}

func (r *roster) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sockets, c)
}

func (r *roster) list() []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.sockets))
}

// CloseRevoked closes every socket and ends every event stream whose token
// [Policy].Revoked says counts no more. It returns how many.
func (g *Gateway) CloseRevoked() (closed int) {
	for _, c := range g.roster.list() {
		if c.closeIfRevoked() {
			closed++
		}
	}
	for _, stream := range g.streams.list() {
		if g.policy.Revoked != nil && g.policy.Revoked(stream.grant) {
			g.closed.WithLabelValues(string(messaging.CodeTokenInvalid)).Inc()
			stream.end()
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
	revoked := c.gateway.policy.Revoked
	if gone || revoked == nil || !revoked(grant) {
		return false
	}
	c.close(messaging.NewProblem(messaging.CodeTokenInvalid))
	return true
}
