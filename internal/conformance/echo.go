package main

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
	"github.com/letswriteabook/realtime/fanout/socketio"
)

// What the suites are written for.
const (
	pingInterval    = 300 * time.Millisecond
	pingTimeout     = 200 * time.Millisecond
	maxPayloadBytes = 1_000_000
	// authPause keeps "auth" apart from the acceptance before it. The suite's client
	// registers for one message at a time, and loses the second of two that it reads at
	// once; the packages write what waits together.
	authPause = 50 * time.Millisecond
)

func newEngineIO(logger *slog.Logger) (*engineio.Server, error) {
	cfg := engineio.DefaultConfig()
	cfg.Path = "/engine.io"
	cfg.PingInterval, cfg.PingTimeout = pingInterval, pingTimeout
	cfg.MaxPayloadBytes = maxPayloadBytes
	return engineio.NewServer(cfg, func(session *engineio.Session) engineio.Receiver { return echo{session} }, logger, nil)
}

// echo sends every message back.
type echo struct{ session *engineio.Session }

func (e echo) Message(data []byte, binary bool) {
	frame := engineio.TextMessage(data)
	if binary {
		frame = engineio.BinaryMessage(data)
	}
	_ = e.session.Send(frame) // a session that closed has no use for it
}

func (e echo) Room() {}

func (e echo) Close(string) {}

func newSocketIO(logger *slog.Logger) (*socketio.Server, error) {
	cfg := socketio.DefaultConfig()
	cfg.Path = "/socket.io"
	cfg.Namespaces = []string{"/", "/custom"}
	cfg.PingInterval, cfg.PingTimeout = pingInterval, pingTimeout
	cfg.MaxPayloadBytes = maxPayloadBytes
	return socketio.NewServer(cfg, answers{}, logger, nil)
}

// answers is the behaviour the Socket.IO suite expects. Errors of Emit mean
// that the socket has closed meanwhile.
type answers struct{}

func (answers) Connect(s *socketio.Socket, auth json.RawMessage) *socketio.Refusal {
	if auth == nil {
		auth = json.RawMessage("{}")
	}
	time.AfterFunc(authPause, func() { _ = s.Emit("auth", auth) })
	return nil
}

func (a answers) Event(s *socketio.Socket, name string, args []json.RawMessage, ack socketio.Ack) {
	a.BinaryEvent(s, name, args, nil, ack)
}

func (answers) BinaryEvent(s *socketio.Socket, name string, args []json.RawMessage, attachments socketio.Attachments, ack socketio.Ack) {
	values := make([]any, 0, len(args)+1)
	for _, arg := range args {
		values = append(values, arg)
	}
	values = append(values, attachments)
	switch {
	case name == "message":
		_ = s.Emit("message-back", values...)
	case name == "message-with-ack" && ack != nil:
		_ = ack(values...)
	}
}

func (answers) Disconnect(*socketio.Socket, string) {}
