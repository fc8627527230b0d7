package engineio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// patience bounds what should happen at once, on a machine that is busy.
const patience = 20 * time.Second

// owner is a Receiver that reports what it is called with.
type owner struct {
	session  *engineio.Session
	messages chan string // binary ones with a "b:" in front
	closed   chan string
	room     chan struct{}
	react    func(o *owner, data []byte, binary bool)
}

func (o *owner) Message(data []byte, binary bool) {
	if o.react != nil {
		o.react(o, data, binary)
		return
	}
	prefix := ""
	if binary {
		prefix = "b:"
	}
	o.messages <- prefix + string(data)
}

func (o *owner) Oversize(head []byte, sizeBytes int, _ bool) {
	o.messages <- fmt.Sprintf("%d bytes from %d", sizeBytes, len(head))
}

func (o *owner) Room() {
	select {
	case o.room <- struct{}{}:
	default:
	}
}

func (o *owner) Close(reason string) { o.closed <- reason }

// echo sends every message back.
func echo(o *owner, data []byte, binary bool) {
	if binary {
		_ = o.session.Send(engineio.BinaryMessage(data))
		return
	}
	_ = o.session.Send(engineio.TextMessage(data))
}

// stage is a running server and the ways to reach it.
type stage struct {
	t        *testing.T
	server   *engineio.Server
	registry *prometheus.Registry
	owners   chan *owner
	address  string
	client   *http.Client
	dialer   *websocket.Dialer
}

type options struct {
	configure func(*engineio.Config)
	react     func(o *owner, data []byte, binary bool)
	open      func(o *owner) // called in accept
	listener  net.Listener   // nil for a free port
	dial      func(ctx context.Context, network, address string) (net.Conn, error)

	readTimeout time.Duration // of the HTTP server
}

func setup(t *testing.T, opts options) *stage {
	t.Helper()
	cfg := engineio.DefaultConfig()
	if opts.configure != nil {
		opts.configure(&cfg)
	}
	s := &stage{t: t, registry: prometheus.NewRegistry(), owners: make(chan *owner, 4096)}
	server, err := engineio.NewServer(cfg, func(session *engineio.Session) engineio.Receiver {
		o := &owner{
			session: session, messages: make(chan string, 32<<10), closed: make(chan string, 2),
			room: make(chan struct{}, 1), react: opts.react,
		}
		if opts.open != nil {
			opts.open(o)
		}
		s.owners <- o
		return o
	}, slog.New(slog.DiscardHandler), s.registry)
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	listener := opts.listener
	if listener == nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	s.address = listener.Addr().String()
	transport := &http.Transport{DialContext: opts.dial, MaxIdleConnsPerHost: 8}
	s.client = &http.Client{Transport: transport}
	s.dialer = &websocket.Dialer{NetDialContext: opts.dial, HandshakeTimeout: patience}
	web := &http.Server{Handler: server, ReadTimeout: opts.readTimeout, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan struct{})
	go func() { // ends with web.Close below
		defer close(served)
		_ = web.Serve(listener)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		transport.CloseIdleConnections()
		_ = web.Close()
		<-served
	})
	return s
}

// next returns the owner of the session opened next.
func (s *stage) next() *owner {
	s.t.Helper()
	return receive(s.t, s.owners, "a session")
}

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func (s *stage) url(scheme, query string) string {
	return scheme + "://" + s.address + "/engine.io/?" + query
}

// request does one HTTP request and returns its status and body.
func (s *stage) request(method, query, contentType, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url("http", query), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return s.send(request)
}

func (s *stage) send(request *http.Request) (int, string) {
	s.t.Helper()
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func (s *stage) poll(id string) (int, string) {
	s.t.Helper()
	return s.request(http.MethodGet, "EIO=4&transport=polling&sid="+id, "", "")
}

func (s *stage) post(id, body string) (int, string) {
	s.t.Helper()
	return s.request(http.MethodPost, "EIO=4&transport=polling&sid="+id, "text/plain;charset=UTF-8", body)
}

// openPolling returns the id of a new polling session, and its owner.
func (s *stage) openPolling() (string, *owner) {
	s.t.Helper()
	status, body := s.request(http.MethodGet, "EIO=4&transport=polling", "", "")
	if status != http.StatusOK {
		s.t.Fatalf("handshake: %d %s", status, body)
	}
	return openID(s.t, body), s.next()
}

func openID(t *testing.T, packet string) string {
	t.Helper()
	var open struct{ SID string }
	if !strings.HasPrefix(packet, "0") || json.Unmarshal([]byte(packet[1:]), &open) != nil || open.SID == "" {
		t.Fatalf("open packet: %q", packet)
	}
	return open.SID
}

// peer is the client's end of a WebSocket.
type peer struct {
	*websocket.Conn
	t *testing.T
}

// dial opens a WebSocket; an empty id starts a session.
func (s *stage) dial(id string) peer {
	s.t.Helper()
	query := url.Values{"EIO": {"4"}, "transport": {"websocket"}}
	if id != "" {
		query.Set("sid", id)
	}
	conn, response, err := s.dialer.Dial(s.url("ws", query.Encode()), nil)
	if err != nil {
		s.t.Fatalf("dial: %v (%v)", err, response)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return peer{conn, s.t}
}

// openWebSocket returns a new session's client end and owner.
func (s *stage) openWebSocket() (peer, *owner) {
	s.t.Helper()
	p := s.dial("")
	openID(s.t, p.read())
	return p, s.next()
}

func (p peer) send(text string) {
	p.t.Helper()
	if err := p.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// read returns the next message, binary ones with a "b:" in front.
func (p peer) read() string {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	kind, data, err := p.ReadMessage()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	if kind == websocket.BinaryMessage {
		return "b:" + string(data)
	}
	return string(data)
}

// expectClosed reads to the end and returns the close code, or -1 without one.
func (p peer) expectClosed() int {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	for {
		_, _, err := p.ReadMessage()
		var timeout net.Error
		switch closed, ok := err.(*websocket.CloseError); {
		case err == nil:
		case ok:
			return closed.Code
		default:
			if t, ok := err.(net.Error); ok && t.Timeout() {
				timeout = t
			}
			if timeout != nil {
				p.t.Fatal("the connection stays open")
			}
			return -1
		}
	}
}

func want[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: %v, want %v", what, got, wanted)
	}
}

// eventually polls for what gives no signal.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

// rawConn opens a bare connection to the server.
func rawConn(t *testing.T, s *stage) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
