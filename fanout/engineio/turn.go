package engineio

// turn lets one callback of a session run at a time. It guards no fields: the
// methods of [Session] never wait for it, so a callback may call any of them.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// call waits for its turn, runs a callback, and returns after it. A panic ends
// the session, not the process, and leaves nothing behind.
func (s *Session) call(callback func()) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	defer s.recovered()
	callback()
}

// recovered ends a panic of the callback that defers it.
func (s *Session) recovered() {
	if cause := recover(); cause != nil {
		s.server.guard.Note("session callback", cause, "session", s.Tag())
		s.fail()
	}
}

// fail ends a session after a panic. It does not wait.
func (s *Session) fail() {
	s.server.running.Go(func() { s.abort(ReasonInternal, frameClose) })
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
