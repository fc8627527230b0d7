package engineio

// transport sends the frames of one session. take, finish and flush are called with the
// session's lock held and never block; abort is called without the lock.
type transport interface {
	name() string
	// take accepts a frame to send next, or refuses it for lack of room; then the transport
	// calls [Session.refill] when it has room again.
	take(Frame) bool
	// flush is called when no further frame follows for now.
	flush()
	// idle reports whether every frame it took has been sent.
	idle() bool
	// finish closes the transport in order, once every frame taken has been sent.
	finish()
	// abort closes at once, whatever is unsent. A transport sends farewell if it can do so
	// without waiting.
	abort(farewell Frame)
}

// The names of the transports, as in the query of a handshake.
const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)
