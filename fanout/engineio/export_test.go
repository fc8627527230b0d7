package engineio

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
	s.mu.Lock()
	defer s.mu.Unlock()
	socket := s.transport.(*webSocket)
	for range 4 * melodyBuffer {
		socket.inflight++
		_ = socket.melody.Write([]byte("6"))
	}
}

// BodyBytes returns what the bodies of POSTs hold.
func (s *Server) BodyBytes() int64 { return s.bodies.bytes.Load() }
