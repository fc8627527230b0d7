package gateway

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// client is one connected Socket.IO socket.
type client struct {
	gateway *Gateway
	socket  *socketio.Socket
	slot    *guardrails.Slot
	sink    *socketSink
	reader  *hub.Reader
	// pid is the private id of the socket's session, life which of its connects this
	// is, and by the connect's own name; set while the socket connects, empty without
	// connection state recovery. They never change after that, nor does joinedAt.
	pid      string
	life     int
	by       string
	joinedAt time.Time
	// quota bounds how fast the client may send; it is the connection's.
	quota *guardrails.Quota

	mu            sync.Mutex // guards everything below
	gone          bool
	closing       bool // close was called
	lastActive    time.Time
	idle          *time.Timer // nil without an idle timeout
	subscriptions map[string]*follow
	// grant is what the client's token allows. expiry, nil if the token has no end, is the
	// timer of the next step: a warning, and once the client was warned, the end.
	grant  guardrails.Grant
	expiry *time.Timer
	warned bool
}

// follow is one of a client's subscriptions.
type follow struct {
	subscription *hub.Subscription
	// asked is where the client asked to start.
	asked hub.Start
	// restored is set on a subscription that was recovered with its session, until
	// the client asks for it as well, as many do on every connect.
	restored bool
	// kept is the job in the state of the session, as JSON.
	kept []byte
}

func newFollow(jobID string, sub *hub.Subscription, asked hub.Start, restored bool) *follow {
	f := &follow{subscription: sub, asked: asked, restored: restored}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)     // which would make a byte six
	_ = encoder.Encode(f.job(jobID)) // strings and numbers always marshal
	f.kept = bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))
	return f
}

// job is the subscription as a session keeps it.
func (f *follow) job(jobID string) sessionJob {
	job := sessionJob{JobID: jobID}
	if f.asked.Resume {
		job.Since = &f.asked.Position
	}
	return job
}

// newClient returns the client of an admitted socket.
func newClient(g *Gateway, socket *socketio.Socket, slot *guardrails.Slot, grant guardrails.Grant) *client {
	sink := &socketSink{socket: socket, delivered: g.delivered.WithLabelValues("socketio")}
	return &client{
		gateway: g, socket: socket, slot: slot, sink: sink, reader: hub.NewReader(g.hub, sink, slot.Owner()),
		quota: g.quotaOf(socket, slot), grant: grant,
		joinedAt: time.Now(), lastActive: time.Now(), subscriptions: make(map[string]*follow),
	}
}

// release frees everything that the client held, and returns its session as it was
// then. Repeated, it does nothing and reports false.
func (c *client) release() (left session, was bool) {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return session{}, false
	}
	left = c.session()
	c.gone = true
	subscriptions := c.subscriptions
	c.subscriptions = nil
	c.stopIdle()
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.mu.Unlock()
	for _, followed := range subscriptions {
		followed.subscription.End()
	}
	c.gateway.sockets.remove(c)
	c.slot.Release()
	return left, true
}

// close tells the client why it is closed, and closes it. The client does not reconnect by
// itself. For a client that has gone, or is being closed, it does nothing and reports false.
func (c *client) close(decision guardrails.Decision) bool {
	c.mu.Lock()
	first := !c.gone && !c.closing
	c.closing = true
	c.mu.Unlock()
	if !first {
		return false
	}
	c.gateway.countClosed(decision, c.slot.Origin())
	c.emit(messaging.EventError, decision.Problem())
	c.socket.Disconnect(true)
	return true
}

// countClosed accounts for a client that the gateway closes.
func (g *Gateway) countClosed(decision guardrails.Decision, origin string) {
	g.count(decision, origin)
	g.closed.WithLabelValues(string(decision.Code)).Inc()
	if decision.Code == messaging.CodeIdleTimeout {
		g.evicted.Inc()
	}
}

// emit sends a control event. A socket that cannot take it is closing.
func (c *client) emit(name string, payload any) { _ = c.socket.Emit(name, payload) }
