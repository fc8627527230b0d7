package engineio

// receive handles one packet of the client. It reports false when nothing
// further is to be read from it.
func (s *Session) receive(packet Packet) bool {
	switch packet.Type {
	case PacketMessage:
		s.alive()
		s.server.metrics.received.Inc()
		s.call(func() {
			if s.Open() {
				s.receiver.Message(packet.Data, packet.Binary)
			}
		})
		return s.Open()
	case PacketPong:
		if !s.pong(true) {
			s.Close(ReasonTransportError)
			return false
		}
		return true
	case PacketNoop:
		if !s.pong(false) {
			s.Close(ReasonTransportError)
			return false
		}
		return true
	case PacketClose:
		s.leave()
		return false
	default:
		// open and upgrade have no place here, and pings go the other way.
		s.Close(ReasonTransportError)
		return false
	}
}
