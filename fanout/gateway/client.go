package gateway

import (
	"bytes"
	"encoding/json"
	"net/netip"
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
	// pid is the private id of the socket's session, life is the number of this connect in
	// the session, and by is the random name of this connect. They are set while the socket
	// connects, are empty without connection state recovery, and do not change after that,
	// nor does joinedAt.
	pid      string
	life     int
	by       string
	joinedAt time.Time
	// address is the client's own network address. It does not change.
	address netip.Addr
	// quota limits how fast the client may send; it belongs to the connection.
	quota *guardrails.Quota

	mu            sync.Mutex // guards everything below
	gone          bool
	closing       bool // close was called
	lastActive    time.Time
	idle          *time.Timer // nil without an idle timeout
	subscriptions follows
	// grant is what the client's token allows. expiry is the timer of the next step: a
	// warning, and after that the end. It is nil if the token does not expire.
	grant  guardrails.Grant
	expiry *time.Timer
	warned bool
}

// follow is one of a client's subscriptions.
type follow struct {
	subscription *hub.Subscription
	// asked is the start that the client requested.
	asked hub.Start
	// restored is set for a subscription that was recovered with its session, until the
	// client requests it too, as many do on every connect.
	restored bool
	// kept is the job in the session's state, as JSON.
	kept []byte
	at   time.Time // of the subscription
}

func newFollow(jobID string, sub *hub.Subscription, asked hub.Start, restored bool) *follow {
	f := &follow{subscription: sub, asked: asked, restored: restored, at: time.Now()}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)     // escaping would turn one byte into six
	_ = encoder.Encode(f.job(jobID)) // strings and numbers always marshal
	f.kept = bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))
	return f
}

// job returns the subscription in the form that a session stores.
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
		joinedAt: time.Now(), lastActive: time.Now(),
	}
}

// release frees all resources of the client, and returns its session at that time. Further
// calls do nothing and return false.
func (c *client) release() (left session, was bool) {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return session{}, false
	}
	left = c.session()
	c.gone = true
	subscriptions := c.subscriptions
	c.subscriptions = follows{}
	c.stopIdle()
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.mu.Unlock()
	for _, followed := range subscriptions.all() {
		followed.subscription.End()
	}
	c.gateway.sockets.remove(c)
	c.slot.Release()
	return left, true
}

// close tells the client why it is disconnected, and disconnects it. The client does not
// reconnect automatically. If the client is disconnected or being closed, close does
// nothing and returns false.
func (c *client) close(decision guardrails.Decision) bool {
	if !c.closeOnce() {
		return false
	}
	c.gateway.countClosed(decision, c.slot.Origin())
	c.finish(string(decision.Code))
	c.emit(messaging.EventError, decision.Problem())
	c.socket.Disconnect(true)
	return true
}

// closeOnce reports whether the caller is to disconnect the client: it is the first, and
// the client is connected.
func (c *client) closeOnce() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.gone && !c.closing
	c.closing = true
	return first
}

// countClosed counts a client that the gateway disconnects.
func (g *Gateway) countClosed(decision guardrails.Decision, origin string) {
	g.count(decision, origin)
	g.closed.WithLabelValues(string(decision.Code)).Inc()
	if decision.Code == messaging.CodeIdleTimeout {
		g.evicted.Inc()
	}
}

// emit sends a control event. It ignores errors: a socket that cannot send is closing.
func (c *client) emit(name string, payload any) { _ = c.socket.Emit(name, payload) }
