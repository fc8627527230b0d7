package socketio

import "encoding/json"

// Handler owns the sockets of a server. The callbacks of one connection run one at a time
// and in order; those of different connections run concurrently. While a callback runs, its
// client is not read.
type Handler interface {
	// Connect decides whether a client may join the socket's namespace; nil accepts. auth is
	// the JSON object that the client sent, or nil. Events emitted here are sent to the
	// client after the acceptance, or never.
	Connect(s *Socket, auth json.RawMessage) *Refusal
	// Event is called for each event. args may be kept. ack is nil when the
	// client did not ask for an acknowledgement.
	Event(s *Socket, name string, args []json.RawMessage, ack Ack)
	// Disconnect is called exactly once for every accepted Connect, after its
	// last event, with one of the reasons of this package or of engineio.
	Disconnect(s *Socket, reason string)
}

// BinaryHandler is a [Handler] that accepts events with attachments. For other handlers
// such an event is malformed.
type BinaryHandler interface {
	Handler
	// BinaryEvent is called instead of Event. args contain a [Placeholder] for each
	// attachment; every placeholder refers to one of attachments.
	BinaryEvent(s *Socket, name string, args []json.RawMessage, attachments Attachments, ack Ack)
}

// OversizeHandler is a [Handler] that answers events beyond [Config.MaxEventBytes].
type OversizeHandler interface {
	Handler
	// Oversized is called instead of Event, with the approximate size of the event, which is
	// not read.
	Oversized(s *Socket, sizeBytes int, ack Ack)
	// RefuseOversized is called instead of Connect for a CONNECT that is too large to be
	// read, and returns its answer.
	RefuseOversized(sizeBytes int) *Refusal
}

// ConnectionHandler is a [Handler] that stores a value with each connection, which outlives
// a socket in a namespace: see [Socket.SetShared].
type ConnectionHandler interface {
	Handler
	// ConnectionClosed is called after the last Disconnect, when a connection has ended on
	// which SetShared was called.
	ConnectionClosed(shared any)
}

// Refusal says why a client may not join. It becomes a CONNECT_ERROR packet,
// after which the connection is closed if it has no other namespace.
type Refusal struct {
	Message string `json:"message"`
	// Data is marshalled to JSON; nil is left out.
	Data any `json:"data,omitempty"`
}

// The reasons for which a socket ends, in addition to those of engineio.
const (
	// ReasonClientDisconnect: the client left the namespace.
	ReasonClientDisconnect = "client namespace disconnect"
	// ReasonServerDisconnect: [Socket.Disconnect] was called.
	ReasonServerDisconnect = "server namespace disconnect"
)
