package socket

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// errLeft ends the goroutine of a socket that this side closed.
var errLeft = errors.New("closed by this side")

// packets are shared: a socket needs one only while a packet arrives.
var packets = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read takes packets until the connection ends.
func (s *Socket) read() {
	defer close(s.ended)
	for {
		if err := s.readOne(); err != nil {
			_ = s.conn.NetConn().Close()
			select {
			case <-s.leave:
				err = errLeft
			default:
			}
			s.err = fmt.Errorf("%w: %w", ErrEnded, err)
			return
		}
	}
}

func (s *Socket) readOne() error {
	kind, reader, err := s.conn.NextReader()
	if err != nil {
		return err
	}
	packet := packets.Get().(*bytes.Buffer)
	defer packets.Put(packet)
	packet.Reset()
	if _, err := packet.ReadFrom(reader); err != nil {
		return err
	}
	if kind != websocket.TextMessage {
		return fmt.Errorf("%w: a binary message", errProtocol)
	}
	return s.take(packet.Bytes(), time.Now())
}

func (s *Socket) take(packet []byte, at time.Time) error {
	if len(packet) == 0 {
		return fmt.Errorf("%w: empty", errProtocol)
	}
	switch packet[0] {
	case '1':
		return errors.New("the server closed the transport")
	case '2':
		if err := s.conn.SetReadDeadline(at.Add(s.patience)); err != nil {
			return err
		}
		return s.send(append([]byte("3"), packet[1:]...))
	case '4':
		if len(packet) > 1 {
			return s.takeMessage(packet[1], packet[2:], at)
		}
	case '6':
		return nil
	}
	return fmt.Errorf("%w: %.64q", errProtocol, packet)
}

func (s *Socket) takeMessage(kind byte, text []byte, at time.Time) error {
	switch kind {
	case '0', '4':
		return s.takeAnswer(kind, text)
	case '1':
		return ErrDisconnected
	case '2':
		event, err := parseEvent(text, at)
		if err != nil {
			return err
		}
		return s.hand(event)
	case '3':
		return s.takeAck(text)
	default:
		return fmt.Errorf("%w: %.64q", errProtocol, "4"+string(kind)+string(text))
	}
}

func (s *Socket) hand(event Event) error {
	if event.mayHaveOffset() {
		s.mu.Lock()
		s.newest = event // decoded when Recovery is called
		s.mu.Unlock()
	}
	if s.handler != nil {
		s.handler(event)
		return nil
	}
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
		return fmt.Errorf("%w: acknowledgement %.64q", errProtocol, text)
	}
	s.mu.Lock()
	waiting := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	if waiting != nil { // EmitAck may have returned with its context
		waiting <- args
	}
	return nil
}

// cutNumber splits the leading digits off. A number that does not fit an int is 0, which
// is the id of no acknowledgement.
func cutNumber(text []byte) (number int, rest []byte) {
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	number, _ = strconv.Atoi(string(text[:digits]))
	return number, text[digits:]
}
