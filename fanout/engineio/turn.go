package engineio

import (
	"sync/atomic"
	"time"
)

// turn lets one callback of a session run at a time. It guards no fields: the methods of
// [Session] never wait for it, so a callback may call any of them.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// call waits for its turn and runs a callback. A panic ends the session, but not the
// process.
func (s *Session) call(callback func()) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	defer s.recovered()
	callback()
}

// recovered recovers a panic of the callback that defers it.
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

// spawn starts a goroutine of the session, for which [Server.Shutdown] waits. A panic ends
// only the goroutine, which may be the one that ends the session.
func (s *Session) spawn(work func()) {
	s.server.running.Go(func() {
		defer s.server.guard.Recover("session", nil)
		work()
	})
}

// after calls a function once after a pause, on a goroutine of its own. A panic ends the
// session. The caller stops the timer; a function that has begun then continues.
func (s *Session) after(pause time.Duration, work func()) *time.Timer {
	return time.AfterFunc(pause, func() {
		defer s.server.guard.Recover("session timer", s.fail)
		work()
	})
}

// Timeout is a callback that runs after a pause.
type Timeout struct {
	timer   *time.Timer
	stopped atomic.Bool
}

// Timeout runs a callback once after a pause, in turn with those of [Receiver], unless it
// is stopped or the session ends first.
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

// Stop prevents the callback from running. When a callback of the session calls Stop this
// is certain, even if the time is over, because callbacks take turns.
func (t *Timeout) Stop() {
	t.stopped.Store(true)
	t.timer.Stop()
}

// Later runs a callback in turn with those of [Receiver], on a goroutine of its own. It
// does nothing after the session has ended.
func (s *Session) Later(callback func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateClosed {
		s.spawn(func() { s.call(callback) })
	}
}
