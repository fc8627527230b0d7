package socket

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/messaging"
)

// The sizes and times of a socket.
const (
	bufferBytes      = 512
	handshakeTimeout = 30 * time.Second
	defaultQueue     = 256
)

// writeBuffers are shared: a socket needs one only while it writes.
var writeBuffers = &sync.Pool{}

// Config says where to and as whom. Only Endpoint has to be set.
type Config struct {
	// Endpoint is the address with the path, such as http://127.0.0.1:3001/ws.
	Endpoint string
	// Origin is sent as a browser would; empty sends none.
	Origin string
	// Header is sent with the handshake.
	Header http.Header
	// Query is what the address has beside the parameters of the protocol; empty means
	// recovery=true, so that the client is treated as a browser is.
	Query string
	// Auth is what [Dial] sends with CONNECT: a token, for instance.
	Auth map[string]any
	// Recovery brings a session back with [Dial]; the zero value asks for a new one.
	Recovery Recovery
	// LocalAddr is where the connection comes from; nil leaves it to the system. One
	// address has about 28,000 ports, so many sockets need several.
	LocalAddr *net.TCPAddr
	// NetDial opens the connection; nil means TCP from LocalAddr.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
	// ReadBufferBytes is what one call reads at most; 0 means 512, which is enough
	// for a socket that is quiet. Events that arrive together cost less with more.
	ReadBufferBytes int
	// Handler takes the events, one after the other. nil lets them wait for
	// [Socket.Next].
	Handler func(Event)
	// Compression asks for permessage-deflate, and compresses nothing itself.
	Compression bool
	// Queue is how many events wait for [Socket.Next]; 0 means 256. At the bound the
	// socket stops reading.
	Queue int
}

// Recovery is what a client keeps of a session to get it back.
type Recovery struct {
	// PID is the private id of the session; empty: there is none.
	PID string
	// Offset is that of the last event received; empty: there was none.
	Offset string
}

// Refused is the error of a handshake that the service refused: a connect_error.
type Refused struct {
	Message string            `json:"message"`
	Data    messaging.Problem `json:"data"`
}

// Error returns the message and the code.
func (r *Refused) Error() string {
	return fmt.Sprintf("connect refused: %s (%s)", r.Message, r.Data.Code)
}

// Dial connects, and returns when the namespace is joined. It returns a [*Refused]
// when the service refuses, and matches errProtocol when the server is no such
// service; ctx bounds the handshake and not the socket.
func Dial(ctx context.Context, cfg Config) (*Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	auth := maps.Clone(cfg.Auth)
	if cfg.Recovery.PID != "" {
		if auth == nil {
			auth = map[string]any{}
		}
		auth["pid"], auth["offset"] = cfg.Recovery.PID, cfg.Recovery.Offset
	}
	if auth == nil {
		_, err = s.Connect(ctx, nil)
	} else {
		_, err = s.Connect(ctx, auth)
	}
	if err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// Open opens the transport, and returns after the server's open packet. It ignores the
// Auth of cfg: [Socket.Connect] comes next.
func Open(ctx context.Context, cfg Config) (*Socket, error) {
	conn, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Socket{
		conn: conn, handler: cfg.Handler, ended: make(chan struct{}), leave: make(chan struct{}),
		answers: make(chan answer, 1), recovery: cfg.Recovery,
	}
	if s.handler == nil {
		s.events = make(chan Event, cmp.Or(cfg.Queue, defaultQueue))
	}
	// The end of ctx ends the handshake.
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	err = s.readOpen()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.NetConn().Close()
		return nil, fmt.Errorf("open: %w", errors.Join(err, ctx.Err()))
	}
	go s.read() // ends with the connection
	return s, nil
}

func open(ctx context.Context, cfg Config) (*websocket.Conn, error) {
	address, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	address.Scheme = strings.Replace(address.Scheme, "http", "ws", 1)
	address.RawQuery = "EIO=4&transport=websocket&" + cmp.Or(cfg.Query, "recovery=true")
	header := cfg.Header.Clone()
	if cfg.Origin != "" {
		if header == nil {
			header = http.Header{}
		}
		header.Set("Origin", cfg.Origin)
	}
	dial := cfg.NetDial
	if dial == nil {
		plain := &net.Dialer{KeepAlive: -1}
		if cfg.LocalAddr != nil {
			plain.LocalAddr = cfg.LocalAddr
		}
		dial = plain.DialContext
	}
	dialer := websocket.Dialer{
		NetDialContext: dial, ReadBufferSize: cmp.Or(cfg.ReadBufferBytes, bufferBytes), WriteBufferSize: bufferBytes, WriteBufferPool: writeBuffers,
		EnableCompression: cfg.Compression,
	}
	conn, response, err := dialer.DialContext(ctx, address.String(), header)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, fmt.Errorf("dial: %w", err)
	}
	conn.EnableWriteCompression(false)
	return conn, nil
}

// readOpen reads the server's open packet, which has the intervals of the heartbeat.
func (s *Socket) readOpen() error {
	_, packet, err := s.conn.ReadMessage()
	if err != nil {
		return err
	}
	var intervals struct{ PingInterval, PingTimeout int64 }
	if len(packet) == 0 || packet[0] != '0' || json.Unmarshal(packet[1:], &intervals) != nil {
		return fmt.Errorf("%w: no open packet: %.64q", errProtocol, packet)
	}
	s.patience = time.Duration(intervals.PingInterval+intervals.PingTimeout) * time.Millisecond
	return s.conn.SetReadDeadline(time.Now().Add(s.patience))
}

// Session is what the server answers to CONNECT.
type Session struct {
	SID string `json:"sid"`
	// PID is the private id of a session that can be recovered; empty for one that
	// cannot.
	PID string `json:"pid"`
}

// answer is the server's answer to CONNECT.
type answer struct {
	session Session
	err     error // a *Refused, or that the answer cannot be read
}

// Connect joins the default namespace. auth is marshalled to JSON; nil sends none. The
// error is a [*Refused] when the server refuses. Connect may be called again after the
// socket has left the namespace (packet 41).
func (s *Socket) Connect(ctx context.Context, auth any) (Session, error) {
	packet := []byte("40")
	if auth != nil {
		encoded, err := json.Marshal(auth)
		if err != nil {
			return Session{}, fmt.Errorf("connect: %w", err)
		}
		packet = append(packet, encoded...)
	}
	// The end of ctx also ends a write that the server does not take.
	stop := context.AfterFunc(ctx, func() { _ = s.conn.NetConn().Close() })
	defer stop()
	if err := s.send(packet); err != nil {
		return Session{}, fmt.Errorf("connect: %w", errors.Join(err, ctx.Err()))
	}
	select {
	case answer := <-s.answers:
		return answer.session, answer.err
	case <-ctx.Done():
		return Session{}, fmt.Errorf("connect: %w", ctx.Err())
	case <-s.ended:
	}
	select {
	case answer := <-s.answers:
		return answer.session, answer.err
	default:
		return Session{}, fmt.Errorf("connect: %w", errors.Join(s.err, ctx.Err()))
	}
}

// takeAnswer takes the answer to CONNECT: 0 and a session, or 4 and a refusal.
func (s *Socket) takeAnswer(kind byte, text []byte) error {
	var got answer
	if kind == '4' {
		refused := &Refused{}
		if err := json.Unmarshal(text, refused); err != nil {
			return fmt.Errorf("%w: connect_error %.64q", errProtocol, text)
		}
		got.err = refused
	} else {
		if err := json.Unmarshal(text, &got.session); err != nil {
			return fmt.Errorf("%w: answer to CONNECT %.64q", errProtocol, text)
		}
		s.joined(got.session)
	}
	select {
	case s.answers <- got:
		return nil
	default:
		return fmt.Errorf("%w: a second answer to CONNECT", errProtocol)
	}
}

func (s *Socket) joined(session Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sid = session.SID
	s.recovered = session.PID != "" && session.PID == s.recovery.PID
	if !s.recovered {
		s.recovery = Recovery{PID: session.PID}
	}
}
