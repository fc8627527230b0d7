package engineio

import "time"

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
	s.spawn(func() { s.abort(ReasonInternal, frameClose) })
}

// spawn starts a goroutine of the session, which [Server.Shutdown] waits for. A panic ends
// the goroutine alone: it may be the one that ends the session.
func (s *Session) spawn(work func()) {
	s.server.running.Go(func() {
		defer s.server.guard.Recover("session", nil)
		work()
	})
}

// After runs a function once, after a time, on a goroutine of its own. A panic ends the
// session. The timer is the caller's to stop.
func (s *Session) After(pause time.Duration, work func()) *time.Timer {
	return time.AfterFunc(pause, func() {
		defer s.server.guard.Recover("session timer", s.fail)
		work()
	})
}

// Later runs a callback in turn with those of [Receiver], on a goroutine of its
// own. It does nothing after the session has ended, when Close is or was called.
func (s *Session) Later(callback func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateClosed {
		s.spawn(func() { s.call(callback) })
	}
}
