package gateway

import (
	"context"
	"encoding/json"
)

// evictionsWaiting bounds the evicted sessions that wait to be removed from the store.
// Further ones expire there instead.
const evictionsWaiting = 1024

// eviction is a session that is no longer kept, with the name under which the gateway saved
// it.
type eviction struct{ pid, by string }

// keep reports whether the session of a client may take size bytes in the store. To make
// room, it evicts sessions of disconnected clients; see [guardrails.Keeping]. It does not
// block.
func (g *Gateway) keep(c *client, size int) bool {
	evicted, keeps := g.keeping.Keep(c.pid, c.by, c.slot.Owner(), size)
	for _, session := range evicted {
		g.forgotten.Inc()
		select {
		case g.evictions <- eviction{session.ID, session.Name}:
		default:
		}
	}
	if !keeps {
		g.forgotten.Inc()
	}
	return keeps
}

// forgetEvicted removes a session from the store, unless it has continued at another
// gateway.
func (g *Gateway) forgetEvicted(ctx context.Context, evicted eviction) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	state, found, err := g.sessions.Load(ctx, evicted.pid)
	var kept session
	if err != nil || !found || json.Unmarshal(state, &kept) != nil || kept.By != evicted.by {
		return
	}
	g.sessions.Forget(evicted.pid)
}
