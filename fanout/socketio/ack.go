package socketio

import (
	"encoding/json"
	"errors"
	"sync/atomic"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

var (
	// ErrAckSent is returned by a second call of an [Ack].
	ErrAckSent = errors.New("socketio: acknowledgement already sent")
	// ErrAckTimeout is passed to an answer function if no answer arrived within AckTimeout.
	// The client may have handled the event.
	ErrAckTimeout = errors.New("socketio: acknowledgement timed out")
	// ErrTooManyAcks is returned by [Socket.EmitWithAck] while MaxPendingAcks answers are
	// pending. A retry helps once they have arrived.
	ErrTooManyAcks = errors.New("socketio: too many pending acknowledgements")
)

// Ack answers one event of a client, at most once; arguments are as for
// [Socket.Emit]. It may be called from any goroutine, at any time.
type Ack func(args ...any) error

// Answer is a client's acknowledgement of an event.
type Answer struct {
	Args []json.RawMessage
	// Attachments are the attachments to which placeholders in Args refer.
	Attachments Attachments
}

// acknowledge returns the Ack for an event with the id.
func (s *Socket) acknowledge(id uint64) Ack {
	var used atomic.Bool
	return func(args ...any) error {
		if used.Swap(true) {
			return ErrAckSent
		}
		frames, err := Packet{Type: PacketAck, Namespace: s.namespace, ID: id, HasID: true}.encode(args...)
		if err != nil {
			return err
		}
		return s.send(frames)
	}
}

// acks are the pending answers of a socket, at most MaxPendingAcks. They are guarded by the
// socket's lock.
type acks struct {
	next    uint64
	pending map[uint64]pendingAck
}

type pendingAck struct {
	answer func(Answer, error)
	timer  *engineio.Timeout // stopped by the answer or by the socket's end
}

// EmitWithAck is Emit for an event that the client must answer. Unless EmitWithAck returns
// an error, it calls answer exactly once: with the answer, with [ErrAckTimeout], or with
// [ErrClosed]. answer runs as a callback of the socket.
func (s *Socket) EmitWithAck(event string, answer func(Answer, error), args ...any) error {
	cfg := s.connection.server.cfg
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return ErrClosed
	}
	if len(s.acks.pending) >= cfg.MaxPendingAcks {
		s.mu.Unlock()
		return ErrTooManyAcks
	}
	id := s.acks.next
	s.acks.next++
	if s.acks.pending == nil {
		s.acks.pending = make(map[uint64]pendingAck)
	}
	s.acks.pending[id] = pendingAck{answer, s.connection.session.Timeout(cfg.AckTimeout, func() {
		if answer := s.takeAck(id); answer != nil {
			answer(Answer{}, ErrAckTimeout)
		}
	})}
	s.mu.Unlock()
	err := s.emit(Packet{Type: PacketEvent, Namespace: s.namespace, ID: id, HasID: true}, event, args)
	if err != nil && s.takeAck(id) == nil {
		return nil // the socket's end has called answer already
	}
	return err
}

// takeAck removes and returns the function that waits for the id, or nil.
func (s *Socket) takeAck(id uint64) func(Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending, ok := s.acks.pending[id]
	if !ok {
		return nil
	}
	pending.timer.Stop()
	delete(s.acks.pending, id)
	return pending.answer
}

// drain removes and returns all waiting functions.
func (a *acks) drain(s *Socket) []func(Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answers []func(Answer, error)
	for _, pending := range a.pending {
		pending.timer.Stop()
		answers = append(answers, pending.answer)
	}
	a.pending = nil
	return answers
}
