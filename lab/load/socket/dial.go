package socket

import (
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
	// Auth is sent with CONNECT: a token, for instance.
	Auth map[string]any
	// Recovery brings a session back; the zero value asks for a new one.
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
	Message string `json:"message"`
	Data    struct {
		Code         messaging.Code `json:"code"`
		Limit        int            `json:"limit"`
		Current      int            `json:"current"`
		RetryAfterMs int64          `json:"retryAfterMs"`
	} `json:"data"`
}

// Error returns the message and the code.
func (r *Refused) Error() string {
	return fmt.Sprintf("connect refused: %s (%s)", r.Message, r.Data.Code)
}

// Dial connects, and returns when the namespace is joined. It returns a [*Refused]
// when the service refuses, and matches errProtocol when it is no such service;
// ctx bounds the handshake and not the socket.
func Dial(ctx context.Context, cfg Config) (*Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Socket{conn: conn, handler: cfg.Handler, ended: make(chan struct{}), leave: make(chan struct{}), recovery: cfg.Recovery}
	if s.handler == nil {
		queue := cfg.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		s.events = make(chan Event, queue)
	}
	// Whatever the handshake waits for, the end of ctx ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	err = s.join(cfg)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.NetConn().Close()
		return nil, fmt.Errorf("join: %w", errors.Join(err, ctx.Err()))
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
	address.RawQuery = "EIO=4&transport=websocket&recovery=true" // as a browser, which needs not say so
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
	reading := cfg.ReadBufferBytes
	if reading == 0 {
		reading = bufferBytes
	}
	dialer := websocket.Dialer{NetDialContext: dial, ReadBufferSize: reading, WriteBufferSize: bufferBytes, WriteBufferPool: writeBuffers}
	conn, response, err := dialer.DialContext(ctx, address.String(), header)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}

// join does the handshake above WebSocket: the server's open packet, CONNECT, and
// the answer.
func (s *Socket) join(cfg Config) error {
	packet, err := s.receive()
	if err != nil {
		return err
	}
	var intervals struct{ PingInterval, PingTimeout int64 }
	if len(packet) == 0 || packet[0] != '0' || json.Unmarshal(packet[1:], &intervals) != nil {
		return fmt.Errorf("%w: no open packet: %.64q", errProtocol, packet)
	}
	s.patience = time.Duration(intervals.PingInterval+intervals.PingTimeout) * time.Millisecond
	auth := maps.Clone(cfg.Auth)
	if cfg.Recovery.PID != "" {
		if auth == nil {
			auth = map[string]any{}
		}
		auth["pid"], auth["offset"] = cfg.Recovery.PID, cfg.Recovery.Offset
	}
	connect := []byte("40")
	if auth != nil {
		encoded, err := json.Marshal(auth)
		if err != nil {
			return fmt.Errorf("encode auth: %w", err)
		}
		connect = append(connect, encoded...)
	}
	if err := s.send(connect); err != nil {
		return err
	}
	for {
		packet, err := s.receive()
		if err != nil {
			return err
		}
		switch {
		case len(packet) > 0 && packet[0] == '2':
			err = s.send(append([]byte("3"), packet[1:]...))
		case strings.HasPrefix(string(packet), "40"):
			return s.joined(packet[2:])
		case strings.HasPrefix(string(packet), "44"):
			refused := &Refused{}
			if err := json.Unmarshal(packet[2:], refused); err != nil {
				return fmt.Errorf("%w: connect_error %.64q", errProtocol, packet)
			}
			return refused
		default:
			err = fmt.Errorf("%w: before CONNECT is answered: %.64q", errProtocol, packet)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Socket) joined(answer []byte) error {
	var session struct{ SID, PID string }
	if err := json.Unmarshal(answer, &session); err != nil {
		return fmt.Errorf("%w: answer to CONNECT %.64q", errProtocol, answer)
	}
	s.sid = session.SID
	s.recovered = session.PID != "" && session.PID == s.recovery.PID
	if !s.recovered {
		s.recovery = Recovery{PID: session.PID}
	}
	return s.conn.SetReadDeadline(time.Now().Add(s.patience))
}
