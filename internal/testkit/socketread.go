package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/gorilla/websocket"
)

// read takes packets until the connection ends.
func (s *Socket) read() {
	defer close(s.ended)
	defer func() { _ = s.conn.NetConn().Close() }()
	for {
		kind, packet, err := s.conn.ReadMessage()
		if err == nil && kind != websocket.TextMessage {
			err = fmt.Errorf("%w: a binary message", ErrSocketProtocol)
		}
		if err == nil {
			err = s.take(packet)
		}
		if err != nil {
			s.err = fmt.Errorf("%w: %w", ErrSocketEnded, err)
			return
		}
	}
}

// errLeft ends the reading goroutine of a socket that its owner closed.
var errLeft = errors.New("closed by this side")

// take handles one Engine.IO packet: a digit for its type, and for a message (4)
// a Socket.IO packet.
func (s *Socket) take(packet []byte) error {
	if len(packet) == 0 {
		return fmt.Errorf("%w: empty", ErrSocketProtocol)
	}
	switch packet[0] {
	case '0', '6': // open, noop
		return nil
	case '1':
		return errors.New("the server closed")
	case '2':
		return s.Send("3" + string(packet[1:]))
	case '4':
		return s.takeMessage(packet[1:])
	default:
		return fmt.Errorf("%w: %.32q", ErrSocketProtocol, packet)
	}
}

func (s *Socket) takeMessage(packet []byte) error {
	if len(packet) == 0 {
		return fmt.Errorf("%w: empty message", ErrSocketProtocol)
	}
	switch packet[0] {
	case '0', '4':
		select {
		case s.opened <- packet:
			return nil
		default:
			return fmt.Errorf("%w: a second answer to CONNECT", ErrSocketProtocol)
		}
	case '1':
		return ErrSocketDisconnected
	case '2':
		return s.takeEvent(packet[1:])
	case '3':
		return s.takeAck(packet[1:])
	default:
		return fmt.Errorf("%w: message %.32q", ErrSocketProtocol, packet)
	}
}

// takeEvent reads ["name",…]. Events that ask for an acknowledgement get none.
func (s *Socket) takeEvent(text []byte) error {
	_, text = cutNumber(text)
	var args []json.RawMessage
	event := SocketEvent{}
	err := json.Unmarshal(text, &args)
	if err == nil && len(args) > 0 {
		err = json.Unmarshal(args[0], &event.Name)
	}
	if err != nil || len(args) == 0 {
		return fmt.Errorf("%w: event %.64q", ErrSocketProtocol, text)
	}
	event.Args = args[1:]
	select {
	case s.events <- event:
		return nil
	case <-s.leave:
		return errLeft
	}
}

func (s *Socket) takeAck(text []byte) error {
	id, text := cutNumber(text)
	var args []json.RawMessage
	if err := json.Unmarshal(text, &args); err != nil {
		return fmt.Errorf("%w: acknowledgement %.64q", ErrSocketProtocol, text)
	}
	s.mu.Lock()
	answer, asked := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	if !asked {
		return fmt.Errorf("%w: acknowledgement %d, which nobody waits for", ErrSocketProtocol, id)
	}
	answer <- args
	return nil
}

// cutNumber splits the leading digits off.
func cutNumber(text []byte) (number int, rest []byte) {
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	number, _ = strconv.Atoi(string(text[:digits])) // 0 without one
	return number, text[digits:]
}
