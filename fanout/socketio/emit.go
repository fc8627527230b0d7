package socketio

import (
	"fmt"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// heldLimitFactor times QueueBytes bounds the frames emitted before Connect has returned,
// as engineio.Session.Send bounds them afterwards.
const heldLimitFactor = 2

// Emit sends an event whose arguments are marshalled to JSON; json.RawMessage is sent
// unchanged and must be valid, and [Attachments] are sent as binary. It is for the few
// events that must not be refused: the waiting ones may take up to twice QueueBytes,
// regardless of offered packets. Beyond that the connection is closed and Emit returns
// engineio.ErrQueueFull. It returns [ErrClosed] after close.
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
	size := 0
	for _, frame := range frames {
		size += len(frame.Data)
	}
	if s.heldControlBytes > 0 && s.heldControlBytes+size > heldLimitFactor*s.connection.server.cfg.QueueBytes {
		s.connection.session.Close(engineio.ReasonQueueFull)
		return engineio.ErrQueueFull
	}
	s.heldBytes += size
	s.heldControlBytes += size
	s.held = append(s.held, frames...)
	return nil
}

// Offer queues an encoded packet, see [EncodeEvent]. The packet must be for this socket's
// namespace, may be shared between sockets, and is never modified. If QueueBytes are
// waiting already, Offer queues nothing and returns false, and [Socket.Room] is signalled
// later. It also returns false after close.
func (s *Socket) Offer(packet []byte) bool { return s.OfferFrame(engineio.Frame{Data: packet}) }

// Frame is an encoded packet, compressed or not.
type Frame = engineio.Frame

// DeflateStart compresses the beginning of a packet, see [engineio.DeflateStart].
func DeflateStart(beginning []byte) ([]byte, error) { return engineio.DeflateStart(beginning) }

// DeflateEnd returns the frame of a packet, see [engineio.DeflateEnd].
func DeflateEnd(beginning, rest []byte) Frame { return engineio.DeflateEnd(beginning, rest) }

// Deflates reports whether the socket's client decompresses messages, so that frames of
// [DeflateEnd] may be offered. Once it is true it remains so.
func (s *Socket) Deflates() bool { return s.connection.session.Deflates() }

// OfferFrame is [Socket.Offer] for a packet in its frame.
func (s *Socket) OfferFrame(frame Frame) bool {
	if s.open.Load() {
		return s.connection.session.Offer(frame)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == stateOpen:
		return s.connection.session.Offer(frame)
	case s.state == stateClosed:
		return false
	case s.heldBytes >= s.connection.server.cfg.QueueBytes:
		// Connect cannot wait for room itself, so the signal is set for when it returns.
		s.room.signal()
		return false
	}
	s.heldBytes += len(frame.Data)
	s.held = append(s.held, frame.Offered())
	return true
}
