package engineio

import "time"

// The reasons for which a session ends, in the words of the reference implementation.
const (
	// ReasonTransportClose: the client closed, or its connection was lost.
	ReasonTransportClose = "transport close"
	// ReasonTransportError: the client violated the rules of a transport.
	ReasonTransportError = "transport error"
	// ReasonPingTimeout: a ping was not answered in time.
	ReasonPingTimeout = "ping timeout"
	// ReasonParseError: a packet could not be parsed.
	ReasonParseError = "parse error"
	// ReasonShutdown: the server is closing.
	ReasonShutdown = "server shutting down"
	// ReasonQueueFull: the client fell too far behind.
	ReasonQueueFull = "queue full"
	// ReasonInternal: a callback panicked.
	ReasonInternal = "internal error"
)

// reasons are all of the above.
var reasons = []string{
	ReasonTransportClose, ReasonTransportError, ReasonPingTimeout, ReasonParseError,
	ReasonShutdown, ReasonQueueFull, ReasonInternal,
}

// returns reports whether a client should reconnect after a reason. Over polling no close
// packet is sent then: python-engineio would treat it as its own wish to disconnect and
// would not reconnect, while every client reconnects after a refused poll, as after a lost
// connection.
func returns(reason string) bool {
	return reason == ReasonShutdown || reason == ReasonQueueFull || reason == ReasonInternal
}

// Close sends what is queued and closes the session, within WriteTimeout.
// It does not wait. The first reason given is the one reported.
func (s *Session) Close(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return
	}
	s.state = stateClosing
	s.reason = reason
	s.schedule(time.Now().Add(s.server.cfg.WriteTimeout))
	s.refill()
}

// farewellGrace is how long a polling client has to fetch the end of the session if nothing
// else is left to send: the answer to its own close, or the server's close.
const farewellGrace = 250 * time.Millisecond

// leave ends the session because the client has closed it.
func (s *Session) leave() {
	s.mu.Lock()
	transport, ok := s.transport.(*polling)
	if !ok || transport.waiting != nil || s.state != stateOpen {
		s.mu.Unlock()
		s.abort(ReasonTransportClose, frameNoop)
		return
	}
	defer s.mu.Unlock()
	s.state = stateClosing
	s.reason = ReasonTransportClose
	s.queue.drop()
	transport.left = true
	s.schedule(time.Now().Add(farewellGrace))
}

// abort ends the session at once and runs its last callback.
func (s *Session) abort(reason string, farewell Frame) {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	if s.state == stateOpen {
		s.reason = reason
	}
	s.state = stateClosed
	reason = s.reason
	s.timer.Stop()
	s.queue.drop()
	current, probing := s.transport, s.upgrade
	s.upgrade = nil
	if s.done != nil {
		close(s.done)
	}
	s.mu.Unlock()

	// Also after a panic: the last callback frees the client's resources.
	defer s.server.running.Done()
	defer s.pace.end()
	defer s.call(func() { s.lastCallback(reason) })
	s.server.forget(s, reason)
	current.abort(farewell)
	if probing != nil {
		probing.abort(frameClose)
	}
}

func (s *Session) lastCallback(reason string) {
	s.mu.Lock()
	receiver := s.receiver
	s.mu.Unlock()
	if receiver != nil { // nil when accept panicked
		receiver.Close(reason)
	}
}
