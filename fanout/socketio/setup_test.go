package socketio_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/internal/pipenet"
)

// patience bounds what should happen at once, on a machine that is busy.
const patience = 20 * time.Second

// call is one callback of the handler.
type call struct {
	kind   string // connect, event, disconnect
	socket *socketio.Socket
	text   string // the auth, the name and arguments, or the reason
	ack    socketio.Ack
	binary socketio.Attachments
}

// script is a handler that reports its calls, and does what a test gives it.
type script struct {
	calls   chan call
	connect func(s *socketio.Socket, auth json.RawMessage) *socketio.Refusal
	event   func(s *socketio.Socket, name string, args []json.RawMessage, ack socketio.Ack)
}

func (h *script) Connect(s *socketio.Socket, auth json.RawMessage) *socketio.Refusal {
	if h.connect != nil {
		if refusal := h.connect(s, auth); refusal != nil {
			return refusal
		}
	}
	h.calls <- call{kind: "connect", socket: s, text: string(auth)}
	return nil
}

func (h *script) Event(s *socketio.Socket, name string, args []json.RawMessage, ack socketio.Ack) {
	if h.event != nil {
		h.event(s, name, args, ack)
		return
	}
	h.calls <- call{kind: "event", socket: s, text: describe(name, args), ack: ack}
}

func (h *script) Disconnect(s *socketio.Socket, reason string) {
	h.calls <- call{kind: "disconnect", socket: s, text: reason}
}

// binaryScript takes attachments as well.
type binaryScript struct{ *script }

func (h binaryScript) BinaryEvent(s *socketio.Socket, name string, args []json.RawMessage, attachments socketio.Attachments, ack socketio.Ack) {
	h.calls <- call{kind: "event", socket: s, text: describe(name, args), ack: ack, binary: attachments}
}

// Oversized and RefuseOversized make it an [socketio.OversizeHandler].
func (h binaryScript) Oversized(s *socketio.Socket, sizeBytes int, ack socketio.Ack) {
	h.calls <- call{kind: "oversized", socket: s, text: strconv.Itoa(sizeBytes), ack: ack}
}

func (h binaryScript) RefuseOversized(int) *socketio.Refusal {
	return &socketio.Refusal{Message: "too large"}
}

func describe(name string, args []json.RawMessage) string {
	parts := []string{name}
	for _, arg := range args {
		parts = append(parts, string(arg))
	}
	return strings.Join(parts, " ")
}

type options struct {
	configure func(*socketio.Config)
	script    *script
	text      bool // the handler takes no attachments
	listener  net.Listener
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

// stage is a running server and the ways to reach it.
type stage struct {
	t        *testing.T
	server   *socketio.Server
	registry *prometheus.Registry
	calls    chan call
	address  string
	dialer   websocket.Dialer
}

func setup(t *testing.T, opts options) *stage {
	t.Helper()
	cfg := socketio.DefaultConfig()
	cfg.Namespaces = []string{"/", "/custom"}
	if opts.configure != nil {
		opts.configure(&cfg)
	}
	if opts.script == nil {
		opts.script = &script{}
	}
	opts.script.calls = make(chan call, 4096)
	var handler socketio.Handler = binaryScript{opts.script}
	if opts.text {
		handler = opts.script
	}
	registry := prometheus.NewRegistry()
	server, err := socketio.NewServer(cfg, handler, slog.New(slog.DiscardHandler), registry)
	if err != nil {
		t.Fatal(err)
	}
	if opts.listener == nil {
		if opts.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	s := &stage{
		t: t, server: server, registry: registry, calls: opts.script.calls,
		address: opts.listener.Addr().String(), dialer: websocket.Dialer{NetDialContext: opts.dial},
	}
	web := &http.Server{Handler: server}
	served := make(chan struct{})
	go func() { // ends with web.Close below
		defer close(served)
		_ = web.Serve(opts.listener)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		_ = web.Close()
		<-served
	})
	return s
}

// onFakeClock runs a test against a server whose time costs nothing.
func onFakeClock(t *testing.T, opts options, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := pipenet.Listen()
		opts.listener, opts.dial = listener, listener.Dial
		test(t, setup(t, opts))
	})
}

// next returns the handler's next call.
func (s *stage) next() call {
	s.t.Helper()
	select {
	case got := <-s.calls:
		return got
	case <-time.After(patience):
		s.t.Fatal("no call of the handler")
		panic("unreachable")
	}
}

// expect takes the next call and compares it.
func (s *stage) expect(kind, text string) call {
	s.t.Helper()
	got := s.next()
	if got.kind != kind || got.text != text {
		s.t.Fatalf("call %s %q, want %s %q", got.kind, got.text, kind, text)
	}
	return got
}

// peer is the client's end.
type peer struct {
	*websocket.Conn
	t *testing.T
}

// dial opens a connection in no namespace yet.
func (s *stage) dial() peer {
	s.t.Helper()
	conn, _, err := s.dialer.Dial("ws://"+s.address+"/ws/?EIO=4&transport=websocket", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	p := peer{conn, s.t}
	if open := p.read(); !strings.HasPrefix(open, "0{") {
		s.t.Fatalf("open packet %q", open)
	}
	return p
}

// join opens a connection in the default namespace.
func (s *stage) join() (peer, *socketio.Socket) {
	s.t.Helper()
	p := s.dial()
	p.send("40")
	socket := s.expect("connect", "").socket
	p.accepted("/")
	return p, socket
}

func (p peer) send(text string) {
	p.t.Helper()
	if err := p.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

func (p peer) sendBinary(data string) {
	p.t.Helper()
	if err := p.WriteMessage(websocket.BinaryMessage, []byte(data)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// read returns the next message but pings, binary ones with a "b:" in front.
func (p peer) read() string {
	p.t.Helper()
	for {
		kind, data, err := p.ReadMessage()
		if err != nil {
			p.t.Fatalf("read: %v", err)
		}
		switch {
		case kind == websocket.BinaryMessage:
			return "b:" + string(data)
		case string(data) == "2":
			p.send("3")
		default:
			return string(data)
		}
	}
}

func (p peer) expect(text string) {
	p.t.Helper()
	if got := p.read(); got != text {
		p.t.Fatalf("read %q, want %q", got, text)
	}
}

// accepted reads the answer to CONNECT and returns the socket's id.
func (p peer) accepted(namespace string) string {
	p.t.Helper()
	prefix := "40"
	if namespace != "/" {
		prefix += namespace + ","
	}
	text := p.read()
	answer := map[string]string{}
	if !strings.HasPrefix(text, prefix) || json.Unmarshal([]byte(text[len(prefix):]), &answer) != nil || len(answer) != 1 || answer["sid"] == "" {
		p.t.Fatalf("answer to CONNECT: %q", text)
	}
	return answer["sid"]
}

// expectClosed reads to the end of the connection.
func (p peer) expectClosed() {
	p.t.Helper()
	for {
		if _, _, err := p.ReadMessage(); err != nil {
			return
		}
	}
}

func want[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: %v, want %v", what, got, wanted)
	}
}

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
