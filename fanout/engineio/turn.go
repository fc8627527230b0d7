package engineio

import (
	"sync/atomic"
	"time"
)

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

// after runs a function once, after a time, on a goroutine of its own. A panic ends the
// session. The timer is the caller's to stop; a function that is under way then goes on.
func (s *Session) after(pause time.Duration, work func()) *time.Timer {
	return time.AfterFunc(pause, func() {
		defer s.server.guard.Recover("session timer", s.fail)
		work()
	})
}

// Timeout is a callback that follows after a time.
type Timeout struct {
	timer   *time.Timer
	stopped atomic.Bool
}

// Timeout runs a callback once, after a time, in turn with those of [Receiver], unless it
// is stopped or the session ends before.
func (s *Session) Timeout(pause time.Duration, callback func()) *Timeout {
	t := &Timeout{}
	t.timer = s.after(pause, func() {
		s.Later(func() {
			if !t.stopped.Load() {
				callback()
			}
		})
	})
	return t
}

// Stop keeps the callback from being run. A callback of the session that stops the timeout
// can rely on that, also when the time was over before: they take turns.
func (t *Timeout) Stop() {
	t.stopped.Store(true)
	t.timer.Stop()
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
