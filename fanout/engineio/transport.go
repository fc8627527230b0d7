package engineio

// transport carries the frames of one session at a time. take, finish and
// flush are called with the session's lock held and never block; abort is
// called without it.
type transport interface {
	name() string
	// take accepts a frame to be sent next, or refuses it for lack of room;
	// then the transport calls [Session.refill] when it has room again.
	take(Frame) bool
	// flush says that no further frame follows for now.
	flush()
	// idle reports whether every frame it took has been sent.
	idle() bool
	// finish says goodbye and closes, once every frame taken has been sent.
	finish()
	// abort closes at once, whatever is still unsent. farewell is for a
	// transport that can still say something without waiting.
	abort(farewell Frame)
}

// The names of the transports, as in the query of a handshake.
const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)
