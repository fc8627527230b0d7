package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var (
	// errProtocol is matched when the server says something that it must not.
	errProtocol = errors.New("unexpected packet")
	// ErrEnded is matched by what a socket returns once it has ended; the error says
	// how. Dialling again helps.
	ErrEnded = errors.New("socket has ended")
	// ErrDisconnected is matched, too, when the service disconnected the client on
	// purpose. It will say why in an event before it, and coming back is no use.
	ErrDisconnected = errors.New("disconnected by the server")
)

// writeTimeout bounds one packet of the client's.
const writeTimeout = 30 * time.Second

// Socket is one connection in the default namespace. Its methods may be called
// concurrently, from the handler too but for Close and Kill, which wait for it.
type Socket struct {
	conn     *websocket.Conn
	handler  func(Event)
	events   chan Event    // nil with a handler
	answers  chan answer   // to CONNECT
	patience time.Duration // how long the server may be silent
	left     sync.Once
	leave    chan struct{} // closed by Close and Kill: events are taken no more
	ended    chan struct{} // closed when the goroutine has ended
	err      error         // why; set before ended is closed

	writing sync.Mutex // held while a packet is written

	mu        sync.Mutex // guards the fields below
	sid       string
	recovered bool
	recovery  Recovery
	newest    Event // the latest that may carry an offset; zero: its offset is in recovery
	acks      map[int]chan []json.RawMessage
	ack       int
}

// ID returns the public id of the session.
func (s *Socket) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sid
}

// Recovered reports whether the session is the one that was asked for, with its
// subscriptions.
func (s *Socket) Recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recovered
}

// Recovery returns what brings the session back on another connection. It moves
// with each event, before that is handled.
func (s *Socket) Recovery() Recovery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset, has := s.newest.offset(); has && s.recovery.PID != "" {
		s.recovery.Offset = offset
	}
	s.newest = Event{}
	return s.recovery
}

// Emit sends an event whose arguments are marshalled to JSON; those of type []byte are
// attachments.
func (s *Socket) Emit(name string, args ...any) error { return s.emit("", name, args) }

// EmitAck is Emit for an event that the service is to answer, and returns the
// arguments of the answer. That comes behind the events that were sent before it,
// so a handler must not call it.
func (s *Socket) EmitAck(ctx context.Context, name string, args ...any) ([]json.RawMessage, error) {
	answer := make(chan []json.RawMessage, 1)
	s.mu.Lock()
	if s.acks == nil {
		s.acks = map[int]chan []json.RawMessage{}
	}
	s.ack++
	id := s.ack
	s.acks[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.acks, id)
		s.mu.Unlock()
	}()
	if err := s.emit(strconv.Itoa(id), name, args); err != nil {
		return nil, err
	}
	select {
	case args := <-answer:
		return args, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("emit %s: %w", name, ctx.Err())
	case <-s.ended:
	}
	select {
	case args := <-answer:
		return args, nil
	default:
		return nil, fmt.Errorf("emit %s: %w", name, s.err)
	}
}

// emit sends an event, with the id of its acknowledgement if there is one.
func (s *Socket) emit(id, name string, args []any) error {
	var attachments [][]byte
	all := append(make([]any, 0, 1+len(args)), name)
	for _, arg := range args {
		if attachment, ok := arg.([]byte); ok {
			arg = map[string]any{"_placeholder": true, "num": len(attachments)}
			attachments = append(attachments, attachment)
		}
		all = append(all, arg)
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("emit %s: %w", name, err)
	}
	header := "42"
	if len(attachments) > 0 {
		header = fmt.Sprintf("45%d-", len(attachments))
	}
	if err := s.send(append([]byte(header+id), encoded...), attachments...); err != nil {
		return fmt.Errorf("emit %s: %w", name, err)
	}
	return nil
}

// Send sends one Engine.IO packet as it is, malformed ones too.
func (s *Socket) Send(packet string) error { return s.send([]byte(packet)) }

// send writes one packet and its attachments.
func (s *Socket) send(packet []byte, attachments ...[]byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if err := s.write(websocket.TextMessage, packet); err != nil {
		return err
	}
	for _, attachment := range attachments {
		if err := s.write(websocket.BinaryMessage, attachment); err != nil {
			return err
		}
	}
	return nil
}

// write sends a message as one frame, as browsers do. WriteMessage would send one that is
// larger than the buffer as many fragments.
func (s *Socket) write(kind int, data []byte) error {
	if len(data) <= bufferBytes {
		return s.conn.WriteMessage(kind, data)
	}
	message, err := websocket.NewPreparedMessage(kind, data)
	if err != nil {
		return err
	}
	return s.conn.WritePreparedMessage(message)
}

// Next returns the next event of a socket without a handler. After the last one it
// returns why the socket has ended.
func (s *Socket) Next(ctx context.Context) (Event, error) {
	select {
	case event := <-s.events:
		return event, nil
	default:
	}
	select {
	case event := <-s.events:
		return event, nil
	case <-ctx.Done():
		return Event{}, fmt.Errorf("next event: %w", ctx.Err())
	case <-s.ended:
	}
	select {
	case event := <-s.events:
		return event, nil
	default:
		return Event{}, s.err
	}
}

// Ended is closed when the connection has ended and nothing more is handled.
func (s *Socket) Ended() <-chan struct{} { return s.ended }

// Err returns why the socket has ended, and nil while it has not.
func (s *Socket) Err() error {
	select {
	case <-s.ended:
		return s.err
	default:
		return nil
	}
}

// Close leaves as a client does that means to: the session is not kept. It returns
// when the goroutine has ended. Repeated, it does nothing.
func (s *Socket) Close() {
	if s.Err() == nil {
		_ = s.send([]byte("41")) // fails when the server was faster, which is as good
	}
	s.Kill()
}

// Kill cuts the connection without a word, as a power failure would, and returns
// when the goroutine has ended. Repeated, it does nothing.
func (s *Socket) Kill() {
	s.left.Do(func() { close(s.leave) })
	_ = s.conn.NetConn().Close() // fails when closed already
	<-s.ended
}
