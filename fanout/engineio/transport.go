package engineio

// transport sends the frames of one session. take, finish and flush are called with the
// session's lock held and never block; abort is called without the lock.
type transport interface {
	name() string
	// take accepts a frame to send next, or leaves it in the session's queue: polling for lack
	// of room, until it calls [Session.refill]; a WebSocket always, whose writer takes from the
	// queue.
	take(Frame) bool
	// flush is called when no further frame follows for now.
	flush()
	// idle reports whether the transport has nothing left to send.
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
