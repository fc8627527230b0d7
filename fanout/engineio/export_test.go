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
