package testkit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var (
	// ErrSocketEnded is matched by what a [Socket] returns once it has ended. The
	// error says how; a retry does not help.
	ErrSocketEnded = errors.New("socket has ended")
	// ErrSocketDisconnected is matched, too, when the server disconnected the
	// client on purpose: a Socket.IO client does not reconnect by itself then.
	ErrSocketDisconnected = errors.New("disconnected by the server")
	// ErrSocketProtocol is returned for a packet that a server must not send.
	ErrSocketProtocol = errors.New("unexpected packet")
)

// SocketDialer opens Socket.IO connections over WebSocket. The zero value is
// ready to use.
type SocketDialer struct {
	// NetDial opens the connection; nil means TCP.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
	// QueueLength bounds the events that wait for [Socket.Next]; 0 means 1024. At
	// the bound the socket stops reading, and so becomes a slow client.
	QueueLength int
	// Query is what the address has beside the protocol's parameters; empty stands for
	// recovery=true, so that the client is treated as socket.io-client is.
	Query string
}

// Socket is a small Socket.IO 5 client in the default namespace: text packets
// over one WebSocket. It answers the server's pings, and neither reconnects nor
// polls, so that what a test sees is what the server did.
//
// Its one goroutine reads the connection and ends with it: on Close, on Kill, or
// when the server goes. Methods may be called concurrently.
type Socket struct {
	conn   *websocket.Conn
	opened chan []byte // the answer to CONNECT, with its packet type in front
	events chan SocketEvent
	leave  chan struct{} // closed by Close and Kill: nobody takes events any more
	left   sync.Once
	ended  chan struct{} // closed when the reading goroutine has ended
	err    error         // why; set before ended is closed

	writing sync.Mutex // held while a packet is written

	mu   sync.Mutex // guards the two below
	acks map[int]chan []json.RawMessage
	ack  int
}

// SocketEvent is one event from the server.
type SocketEvent struct {
	Name string
	Args []json.RawMessage
}

// Decode reads the first argument into v.
func (e SocketEvent) Decode(v any) error {
	if len(e.Args) == 0 {
		return fmt.Errorf("%w: event %s has no argument", ErrSocketProtocol, e.Name)
	}
	if err := json.Unmarshal(e.Args[0], v); err != nil {
		return fmt.Errorf("decode event %s: %w", e.Name, err)
	}
	return nil
}

// DialSocket opens a connection to a Socket.IO endpoint such as
// http://127.0.0.1:3001/ws, with these request headers.
func DialSocket(ctx context.Context, endpoint string, header http.Header) (*Socket, error) {
	return SocketDialer{}.Dial(ctx, endpoint, header)
}

// Dial is [DialSocket] with the dialer's settings. It returns when the transport
// is open; [Socket.Connect] comes next.
func (d SocketDialer) Dial(ctx context.Context, endpoint string, header http.Header) (*Socket, error) {
	address, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("dial socket: %w", err)
	}
	address.Scheme = strings.Replace(address.Scheme, "http", "ws", 1)
	address.RawQuery = "EIO=4&transport=websocket&" + cmp.Or(d.Query, "recovery=true")
	dialer := websocket.Dialer{NetDialContext: d.NetDial, HandshakeTimeout: 30 * time.Second}
	conn, response, err := dialer.DialContext(ctx, address.String(), header)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: status %s", err, response.Status)
		}
		return nil, fmt.Errorf("dial socket: %w", err)
	}
	length := d.QueueLength
	if length == 0 {
		length = 1024
	}
	s := &Socket{
		conn: conn, opened: make(chan []byte, 1), events: make(chan SocketEvent, length),
		leave: make(chan struct{}), ended: make(chan struct{}), acks: make(map[int]chan []json.RawMessage),
	}
	go s.read() // ends with the connection
	return s, nil
}

// SocketConnected is the server's answer to CONNECT.
type SocketConnected struct {
	SID string `json:"sid"`
	// PID is the private id of a server that recovers connections.
	PID string `json:"pid"`
}

// SocketRefusal is the error of a refused CONNECT.
type SocketRefusal struct {
	Message string `json:"message"`
	// Data is what the server said beside it; nil for nothing.
	Data json.RawMessage `json:"data"`
}

// Error returns the message.
func (r *SocketRefusal) Error() string { return "connect refused: " + r.Message }

// Connect joins the default namespace. auth is marshalled to JSON; nil sends
// none. The error is a [*SocketRefusal] when the server refuses.
func (s *Socket) Connect(ctx context.Context, auth any) (SocketConnected, error) {
	packet := "40"
	if auth != nil {
		encoded, err := json.Marshal(auth)
		if err != nil {
			return SocketConnected{}, fmt.Errorf("connect: %w", err)
		}
		packet += string(encoded)
	}
	if err := s.Send(packet); err != nil {
		return SocketConnected{}, fmt.Errorf("connect: %w", err)
	}
	var answer []byte
	select {
	case answer = <-s.opened:
	case <-ctx.Done():
		return SocketConnected{}, fmt.Errorf("connect: %w", ctx.Err())
	case <-s.ended:
		select {
		case answer = <-s.opened:
		default:
			return SocketConnected{}, fmt.Errorf("connect: %w", s.err)
		}
	}
	if answer[0] == '4' {
		refusal := &SocketRefusal{}
		if err := json.Unmarshal(answer[1:], refusal); err != nil {
			return SocketConnected{}, fmt.Errorf("connect: %w: %w", ErrSocketProtocol, err)
		}
		return SocketConnected{}, refusal
	}
	var connected SocketConnected
	if err := json.Unmarshal(answer[1:], &connected); err != nil {
		return SocketConnected{}, fmt.Errorf("connect: %w: %w", ErrSocketProtocol, err)
	}
	return connected, nil
}

// Emit sends an event whose arguments are marshalled to JSON; those of type []byte are
// attachments.
func (s *Socket) Emit(name string, args ...any) error {
	return s.emit("", name, args)
}

// EmitAck is Emit for an event that the server is to acknowledge, and returns
// what it acknowledged with. The answer comes behind the events that were sent
// before it: somebody has to take those, if they are more than QueueLength.
func (s *Socket) EmitAck(ctx context.Context, name string, args ...any) ([]json.RawMessage, error) {
	answer := make(chan []json.RawMessage, 1)
	s.mu.Lock()
	s.ack++
	id := s.ack
	s.acks[id] = answer
	s.mu.Unlock()
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
	all := []any{name}
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
	s.writing.Lock()
	defer s.writing.Unlock()
	err = s.conn.WriteMessage(websocket.TextMessage, []byte(header+id+string(encoded)))
	for _, attachment := range attachments {
		err = errors.Join(err, s.conn.WriteMessage(websocket.BinaryMessage, attachment))
	}
	if err != nil {
		return fmt.Errorf("emit %s: %w", name, err)
	}
	return nil
}

// Send sends one Engine.IO packet as it is, malformed ones too.
func (s *Socket) Send(packet string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

// Next returns the next event. After the last one it returns why the socket has
// ended.
func (s *Socket) Next(ctx context.Context) (SocketEvent, error) {
	select {
	case event := <-s.events:
		return event, nil
	default:
	}
	select {
	case event := <-s.events:
		return event, nil
	case <-ctx.Done():
		return SocketEvent{}, fmt.Errorf("next event: %w", ctx.Err())
	case <-s.ended:
	}
	select {
	case event := <-s.events:
		return event, nil
	default:
		return SocketEvent{}, s.err
	}
}

// Ended is closed when the connection has ended and nothing more is read.
func (s *Socket) Ended() <-chan struct{} { return s.ended }

// Close leaves as a client does that means to: DISCONNECT, then the connection.
// It returns when the socket's goroutine has ended. Repeated, it does nothing.
func (s *Socket) Close() {
	_ = s.Send("41") // fails when the server was faster, which is as good
	s.Kill()
}

// Kill cuts the connection without a word, as a power failure would. Repeated,
// it does nothing.
func (s *Socket) Kill() {
	s.left.Do(func() { close(s.leave) })
	_ = s.conn.NetConn().Close() // fails when closed already
	<-s.ended
}
