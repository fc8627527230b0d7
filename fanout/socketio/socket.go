package socketio

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// ErrClosed is returned after the socket was closed. A retry does not help.
var ErrClosed = engineio.ErrClosed

type socketState uint8

const (
	// stateConnecting: Connect runs, and frames are held back.
	stateConnecting socketState = iota
	stateOpen
	stateClosed
)

// Socket is one client in one namespace. All methods may be called concurrently.
type Socket struct {
	id         string // changed while Connect runs only
	namespace  string
	connection *connection
	done       chan struct{}
	// open is true in stateOpen, so that sending needs no lock.
	open atomic.Bool

	room waiting

	mu        sync.Mutex // guards all below; never held while a callback runs
	pid       string     // told to the client beside the id; empty: none
	state     socketState
	accepted  bool
	reason    string
	held      []engineio.Frame // until Connect has returned
	heldBytes int
	// heldControlBytes is the part of heldBytes that was not offered.
	heldControlBytes int
	data             any
	acks             acks
}

func newSocket(c *connection, namespace string) *Socket {
	return &Socket{
		id:         engineio.NewID(),
		namespace:  namespace,
		connection: c,
		done:       make(chan struct{}),
	}
}

// ID returns the id that the client also has. It differs from the id of the transport's
// session, which is a secret.
func (s *Socket) ID() string { return s.id }

// Identify replaces the socket's id, and sets its private id (pid): a secret that the
// client sends in auth with its next CONNECT after it has lost its connection. A client
// that receives the same pid as before treats its session as recovered. Identify may be
// called while [Handler.Connect] runs. It is for connection state recovery, which the
// handler implements.
func (s *Socket) Identify(id, pid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.pid = id, pid
}

// Namespace returns the namespace, "/" by default.
func (s *Socket) Namespace() string { return s.namespace }

// Request returns the kept part of the handshake request: method, URL, host, remote address
// and the headers of [Config.KeepHeaders]. Each call creates a new request.
func (s *Socket) Request() *http.Request { return s.connection.session.Request() }

// Header returns the first value of one of [Config.KeepHeaders] in the handshake
// request, or "".
func (s *Socket) Header(name string) string { return s.connection.session.Header(name) }

// Opened returns when the connection was opened, before the socket joined.
func (s *Socket) Opened() time.Time { return s.connection.session.Opened() }

// Transport returns "polling" or "websocket".
func (s *Socket) Transport() string { return s.connection.session.Transport() }

// Data returns the value last passed to SetData, or nil.
func (s *Socket) Data() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// SetData stores a value of the owner with the socket.
func (s *Socket) SetData(value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = value
}

// Shared returns the value last passed to SetShared on a socket of the connection, or nil.
// Both methods are only for the callbacks of the socket.
func (s *Socket) Shared() any { return s.connection.shared }

// SetShared stores a value of the owner with the connection.
func (s *Socket) SetShared(value any) { s.connection.shared = value }

// Done returns a channel that is closed when the socket can no longer send: at once when
// either side disconnects, before [Handler.Disconnect] is called.
func (s *Socket) Done() <-chan struct{} { return s.done }

// Room returns a channel of capacity 1 that is signalled when the queue has
// fallen below half of QueueBytes after an Offer was refused, and on close.
func (s *Socket) Room() <-chan struct{} { return s.room.channel() }

// QueuedBytes returns the number of unsent bytes on the socket's connection, which includes
// the client's other namespaces.
func (s *Socket) QueuedBytes() int {
	s.mu.Lock()
	held := s.heldBytes
	s.mu.Unlock()
	return held + s.connection.session.QueuedBytes()
}

// QueuedFrames returns the number of frames on the socket's connection that the transport
// has not taken yet, which includes the client's other namespaces.
func (s *Socket) QueuedFrames() int {
	s.mu.Lock()
	held := len(s.held)
	s.mu.Unlock()
	return held + s.connection.session.QueuedFrames()
}

// Disconnect removes the client from the namespace; the client does not reconnect
// automatically. Events emitted before are still sent. With closeTransport the client's
// connection, with its other namespaces, is closed after that.
func (s *Socket) Disconnect(closeTransport bool) {
	if s.leave() {
		s.connection.session.Later(func() { s.end(ReasonServerDisconnect) })
	}
	if closeTransport {
		s.connection.session.Later(s.connection.disconnectAll)
	}
}

// Fail closes the connection after a defect of the server. Unlike [Socket.Disconnect] it
// sends no DISCONNECT, so that the client reconnects.
func (s *Socket) Fail() { s.connection.session.Close(engineio.ReasonInternal) }

// leave sends DISCONNECT and shuts the socket. It returns false if the socket is closed, or
// if Connect still runs, which then sends DISCONNECT later.
func (s *Socket) leave() bool {
	goodbye := Packet{Type: PacketDisconnect, Namespace: s.namespace}.frame()
	s.mu.Lock()
	if s.state == stateConnecting {
		s.reason = ReasonServerDisconnect
		s.mu.Unlock()
		return false
	}
	s.mu.Unlock()
	if !s.shut(ReasonServerDisconnect) {
		return false
	}
	_ = s.connection.session.Send(goodbye) // not needed on a closed session
	return true
}

// accept answers CONNECT and sends the frames that were held back. It reports whether the
// socket was disconnected meanwhile.
func (s *Socket) accept() (leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = true
	answer := Packet{Type: PacketConnect, Namespace: s.namespace, Data: s.identity()}.frame()
	if s.state != stateConnecting {
		return false
	}
	// The lock keeps other frames behind these.
	_ = s.connection.session.Send(append([]engineio.Frame{answer}, s.held...)...)
	s.held, s.heldBytes, s.heldControlBytes = nil, 0, 0
	s.state = stateOpen
	s.open.Store(true)
	return s.reason != ""
}

// identity returns the data of the CONNECT that accepts the socket. The caller holds the
// mutex.
func (s *Socket) identity() []byte {
	data, _ := json.Marshal(struct { // strings always marshal
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{s.id, s.pid})
	return data
}

// shut stops all sending. It returns false if sending was stopped before.
func (s *Socket) shut(reason string) bool {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return false
	}
	s.state = stateClosed
	s.reason = reason
	s.held, s.heldBytes, s.heldControlBytes = nil, 0, 0
	s.open.Store(false)
	s.mu.Unlock()
	close(s.done)
	s.room.signal()
	return true
}

// end runs the socket's last callbacks, in the connection's turn. Further calls do nothing.
func (s *Socket) end(reason string) {
	s.shut(reason)
	if !s.connection.remove(s) {
		return
	}
	s.mu.Lock()
	reason, accepted := s.reason, s.accepted
	s.mu.Unlock()
	for _, answer := range s.acks.drain(s) {
		answer(Answer{}, ErrClosed)
	}
	if accepted {
		s.connection.server.metrics.left.Inc()
		s.connection.server.handler.Disconnect(s, reason)
	}
}
