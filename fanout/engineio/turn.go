package engineio

import "runtime/debug"

// turn lets one callback of a session run at a time. It guards no fields: the
// methods of [Session] never wait for it, so a callback may call any of them.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// call runs a callback when its turn comes and returns after it. A panic ends
// the session, not the process, and leaves nothing behind.
func (s *Session) call(callback func()) {
	s.turn <- struct{}{}
	defer func() {
		<-s.turn
		if cause := recover(); cause != nil {
			s.server.metrics.panics.Inc()
			s.server.logger.Error("panic in a session's callback", "session", s.Tag(), "panic", cause, "stack", string(debug.Stack()))
			s.server.running.Go(func() { s.abort(ReasonInternal, frameClose) })
		}
	}()
	callback()
}

// Later runs a callback in turn with those of [Receiver], on a goroutine of its
// own. It does nothing after the session has ended, when Close is or was called.
func (s *Session) Later(callback func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateClosed {
		s.server.running.Go(func() { s.call(callback) })
	}
}
