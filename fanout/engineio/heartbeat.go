package engineio

import "time"

// maxUnaskedPackets bounds the pongs and noops that a client may send without
// being asked between two pings; they cost us and carry nothing.
const maxUnaskedPackets = 32

// heartbeat is the state of a session's one timer, which is in turn the pause
// until the next ping and the wait for its pong.
type heartbeat struct {
	awaiting bool      // a ping is out
	pinged   time.Time // when it went out
	seen     time.Time // when the client last sent anything whole
	unasked  int       // pongs and noops since the last ping
}

// beat is the timer's function.
func (s *Session) beat() {
	s.mu.Lock()
	switch {
	case s.state == stateClosed:
		s.mu.Unlock()
		return
	case s.state == stateClosing:
		s.mu.Unlock()
		s.abort(s.reason, frameClose)
		return
	case s.pulse.awaiting && !s.pulse.seen.After(s.pulse.pinged):
		s.mu.Unlock()
		s.abort(ReasonPingTimeout, frameClose)
		return
	case s.pulse.awaiting: // a client that sends is alive, pong or not
		s.pulse.awaiting = false
		s.timer.Reset(max(0, s.server.cfg.PingInterval-time.Since(s.pulse.seen)))
	default:
		s.pulse = heartbeat{awaiting: true, pinged: time.Now(), seen: s.pulse.seen}
		s.timer.Reset(s.server.cfg.PingTimeout)
		s.enqueue(framePing)
		s.transport.flush()
	}
	s.mu.Unlock()
}

// alive notes a sign of life.
func (s *Session) alive() {
	s.mu.Lock()
	s.pulse.seen = time.Now()
	s.mu.Unlock()
}

// pong notes the answer to a ping, or a packet that nobody asked for. It
// reports false when there were too many of those.
func (s *Session) pong(answer bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulse.seen = time.Now()
	if answer && s.pulse.awaiting {
		s.pulse.awaiting = false
		if s.state == stateOpen {
			s.timer.Reset(s.server.cfg.PingInterval)
		}
		return true
	}
	s.pulse.unasked++
	return s.pulse.unasked <= maxUnaskedPackets
}
