package socketio

import (
	"fmt"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// Emit sends an event whose arguments are marshalled to JSON; json.RawMessage
// is sent as it is and must be valid, [Attachments] go as binary. It is meant
// for the few events that must not be refused: it may exceed QueueBytes up to
// twice that, past which the connection is closed and engineio.ErrQueueFull
// returned. It returns [ErrClosed] after close.
func (s *Socket) Emit(event string, args ...any) error {
	return s.emit(Packet{Type: PacketEvent, Namespace: s.namespace}, event, args)
}

func (s *Socket) emit(packet Packet, event string, args []any) error {
	frames, err := packet.encode(append([]any{quote(event)}, args...)...)
	if err != nil {
		return fmt.Errorf("emit %q: %w", event, err)
	}
	return s.send(frames)
}

func (s *Socket) send(frames []engineio.Frame) error {
	if s.open.Load() {
		return s.connection.session.Send(frames...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case stateOpen:
		return s.connection.session.Send(frames...)
	case stateClosed:
		return ErrClosed
	}
	for _, frame := range frames {
		s.heldBytes += len(frame.Data)
	}
	if s.heldBytes > 2*s.connection.server.cfg.QueueBytes {
		return engineio.ErrQueueFull
	}
	s.held = append(s.held, frames...)
	return nil
}

// Offer queues a packet that is encoded already, see [EncodeEvent]; it belongs
// to this socket's namespace by its text, may be shared between sockets, and is
// never modified. It returns false, with nothing queued, when QueueBytes wait
// already, and after close; a signal on [Socket.Room] follows.
func (s *Socket) Offer(packet []byte) bool {
	if s.open.Load() {
		return s.connection.session.Offer(engineio.Frame{Data: packet})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == stateOpen:
		return s.connection.session.Offer(engineio.Frame{Data: packet})
	case s.state == stateClosed:
		return false
	case s.heldBytes >= s.connection.server.cfg.QueueBytes:
		// Connect cannot wait for room itself: the signal is there when it returns.
		s.signalRoom()
		return false
	}
	s.heldBytes += len(packet)
	s.held = append(s.held, engineio.Frame{Data: packet})
	return true
}
