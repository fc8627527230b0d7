package engineio

// receive handles one packet of the client. It returns false if no more packets should be
// read.
func (s *Session) receive(packet Packet) bool {
	s.pace.spend(packetCostBytes)
	if most := s.server.cfg.MaxMessageBytes; most > 0 && len(packet.Data) > most {
		packet = packet.cut()
	}
	switch packet.Type {
	case PacketMessage:
		s.alive()
		s.server.metrics.received.Inc()
		s.call(func() { s.message(packet) })
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
		// open and upgrade are not allowed here, and only the server sends pings.
		s.Close(ReasonTransportError)
		return false
	}
}

func (s *Session) message(packet Packet) {
	s.mu.Lock()
	open, receiver := s.state == stateOpen, s.receiver
	s.mu.Unlock()
	if !open || receiver == nil { // nil when accept panicked
		return
	}
	if packet.cutFrom == 0 {
		receiver.Message(packet.Data, packet.Binary)
		return
	}
	if takes, ok := receiver.(OversizeReceiver); ok {
		takes.Oversize(packet.Data, packet.cutFrom, packet.Binary)
		return
	}
	s.Close(ReasonParseError)
}
