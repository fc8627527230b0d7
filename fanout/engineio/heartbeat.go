package engineio

import (
	"slices"
	"time"
)

// maxUnaskedPackets bounds the unsolicited pongs and noops that a client may send between
// two pings. They carry no data and cost processor time.
const maxUnaskedPackets = 32

// maxPingDelay is how many ping timeouts a ping may wait behind frames that the client is
// reading. It bounds how long a client that sends nothing may take to read its queue.
const maxPingDelay = 5

// ticksInInterval is the number of ticks of a ping interval. Pings are due at ticks only, so
// that one wake-up of the timers, the writers and the readers serves many sockets.
const ticksInInterval = 250

// heartbeat is the state of a session's single timer, which alternates between the pause
// until the next ping and the wait for its pong.
type heartbeat struct {
	due      time.Time // when the timer should fire; it fires later on a busy machine
	awaiting bool      // a ping was queued and is not answered
	waits    bool      // that ping waits behind other frames
	pinged   time.Time // when the ping was sent, or queued if it waits
	taken    time.Time // when the client last took a frame before a ping that waits; else zero
	seen     time.Time // when the client last sent anything whole
	unasked  int       // pongs and noops since the last ping
}

// nextPing returns when the next ping is due: at the last tick that is at most PingInterval
// after a time.
func (s *Session) nextPing(after time.Time) time.Time {
	due := after.Add(s.server.cfg.PingInterval)
	tick := s.server.cfg.PingInterval / ticksInInterval
	if tick <= 0 {
		return due
	}
	return due.Add(-(due.Sub(s.server.began) % tick))
}

// schedule sets the timer. Called with the lock held.
func (s *Session) schedule(due time.Time) {
	s.pulse.due = due
	s.timer.Reset(max(0, time.Until(due)))
}

// beat is called by the timer.
func (s *Session) beat() {
	if reason := s.pulsed(); reason != "" {
		s.abort(reason, frameClose)
	}
}

// pulsed does the due step of the heartbeat. It returns the reason to end the session, or
// "".
func (s *Session) pulsed() (ends string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == stateClosed:
	case time.Now().Before(s.pulse.due):
		s.schedule(s.pulse.due) // this beat was under way when the timer was set again
	case s.state == stateClosing:
		return s.reason
	case s.pulse.awaiting && !s.pulse.seen.After(s.pulse.pinged):
		if due, delayed := s.delayed(); delayed {
			s.schedule(due)
			return ""
		}
		return ReasonPingTimeout
	case s.pulse.awaiting: // a client that sends is alive, even without a pong
		s.pulse.awaiting = false
		s.schedule(s.nextPing(s.pulse.seen))
	default:
		s.ping()
	}
	return ""
}

// ping sends a ping. Its timeout counts from when the ping was due, as the client's own
// does, unless this process is so late that the client would have too little time.
func (s *Session) ping() {
	timeout := s.server.cfg.PingTimeout
	pinged := time.Now()
	if pinged.Sub(s.pulse.due) < timeout/4 {
		pinged = s.pulse.due
	}
	s.pulse = heartbeat{awaiting: true, waits: !s.transport.idle(), pinged: pinged, seen: s.pulse.seen}
	s.schedule(pinged.Add(timeout))
	s.enqueue(framePing)
	s.transport.flush()
}

// moved records that the client has accepted frames before a waiting ping, or the ping: the
// time for its answer counts from then. Called with the lock held.
func (s *Session) moved(frames ...Frame) {
	if !s.pulse.waits || !s.pulse.awaiting || s.state != stateOpen {
		return
	}
	now := time.Now()
	if !slices.ContainsFunc(frames, isPing) {
		s.pulse.taken = now
		return
	}
	s.pulse.waits, s.pulse.pinged = false, now
	s.schedule(now.Add(s.server.cfg.PingTimeout))
}

// delayed returns when to check again for the answer to an overdue ping that has not been
// sent, because the client is still reading earlier frames. A client that reads none of
// them fails the write timeout. Called with the lock held.
func (s *Session) delayed() (due time.Time, delayed bool) {
	if !s.pulse.waits {
		return time.Time{}, false
	}
	timeout := s.server.cfg.PingTimeout
	now := time.Now()
	last := s.pulse.pinged.Add(maxPingDelay * timeout)
	due = s.pulse.pinged
	if s.pulse.taken.After(due) {
		due = s.pulse.taken
	}
	if due = due.Add(timeout); !due.After(now) {
		if s.transport.idle() {
			return time.Time{}, false // and the client does not ask for more
		}
		due = now.Add(timeout)
	}
	if due.After(last) {
		due = last
	}
	return due, due.After(now)
}

// overdue reports whether the ping timeout is over, even if the timer has not fired yet.
// Called with the lock held.
func (s *Session) overdue() bool {
	if s.state != stateOpen || !s.pulse.awaiting || s.pulse.seen.After(s.pulse.pinged) ||
		time.Since(s.pulse.pinged) < s.server.cfg.PingTimeout {
		return false
	}
	_, delayed := s.delayed()
	return !delayed
}

// alive records that the client has sent something.
func (s *Session) alive() {
	s.mu.Lock()
	s.pulse.seen = time.Now()
	s.mu.Unlock()
}

// pong records the answer to a ping, or an unsolicited packet. It returns false if there
// were too many unsolicited packets.
func (s *Session) pong(answer bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulse.seen = time.Now()
	if answer && s.pulse.awaiting {
		s.pulse.awaiting = false
		if s.state == stateOpen {
			s.schedule(s.nextPing(s.pulse.seen))
		}
		return true
	}
	s.pulse.unasked++
	return s.pulse.unasked <= maxUnaskedPackets
}
