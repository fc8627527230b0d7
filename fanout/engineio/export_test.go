package engineio

import "time"

// Waiting reports whether a poll waits.
func (s *Session) Waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	transport, ok := s.transport.(*polling)
	return ok && transport.waiting != nil
}

// MelodyLen returns the number of sessions that melody holds.
func (s *Server) MelodyLen() int { return s.melody.Len() }

// Overfill gives melody's channel more than it holds, as the session never does.
func (s *Session) Overfill() {
	_ = s.server.melody.Broadcast([]byte("6"))
}

// BodyBytes returns what the bodies of POSTs hold.
func (s *Server) BodyBytes() int64 { return s.bodies.bytes.Load() }

// Scanner is a frameScanner.
type Scanner struct{ frameScanner }

// NewScanner returns one that cuts messages of more than mostBytes, unless that is 0, and
// allows compressed ones.
func NewScanner(mostBytes, payloadBytes uint64) *Scanner {
	return &Scanner{frameScanner{mostBytes: mostBytes, payloadBytes: payloadBytes, deflates: true}}
}

// Pass hands on a part of the stream in place, as a connection does: the bytes that an
// earlier part held back are in front.
func (s *Scanner) Pass(part []byte) ([]byte, error) {
	buffer := make([]byte, s.have+len(part))
	copy(buffer[s.have:], part)
	return s.pass(buffer[:0], buffer[s.have:])
}

// Next is what the WebSocket layer calls for each message.
func (s *Scanner) Next() (size uint64, cut, deflated bool) {
	note := s.next()
	return note.size, note.cut, note.deflated
}

// Inflate decompresses a message of at most a number of bytes.
func Inflate(data []byte, most int) ([]byte, error) { return inflate(data, most) }

// HeadBytes is what is kept of a message that is too large.
const HeadBytes = headBytes

// BreakHeartbeat makes the session's next heartbeat panic, and has it at once.
func (s *Session) BreakHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transport = brokenTransport{s.transport}
	s.schedule(time.Now())
}

// brokenTransport takes no ping.
type brokenTransport struct{ transport }

func (brokenTransport) take(Frame) bool { panic("for the test") }
