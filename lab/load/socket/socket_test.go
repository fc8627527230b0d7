package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

func (s *service) dial(cfg socket.Config) *socket.Socket {
	s.t.Helper()
	cfg.Endpoint = s.url + "/ws"
	c, err := socket.Dial(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Kill)
	return c
}

// next returns the next event, which has to have this name.
func next(t *testing.T, c *socket.Socket, name string) socket.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	event, err := c.Next(ctx)
	if err != nil {
		t.Fatalf("wait for %s: %v", name, err)
	}
	if event.Name != name {
		args, _ := event.Args()
		t.Fatalf("got %s %s, want %s", event.Name, args, name)
	}
	return event
}

// sequences reads n events of a job. The end of a catch-up may lie between them:
// what was published last need not be stored when the client asks.
func sequences(t *testing.T, c *socket.Socket, n int) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []uint64
	for len(all) < n {
		event, err := c.Next(ctx)
		if err != nil {
			t.Fatalf("got %v of %d events: %v", all, n, err)
		}
		if event.Name == messaging.EventCaughtUp {
			continue
		}
		var payload struct{ Sequence uint64 }
		if err := event.Decode(&payload); err != nil || event.Name != "novel.domain-event" {
			t.Fatalf("got %s, %v", event.Name, err)
		}
		all = append(all, payload.Sequence)
	}
	return all
}

func subscribe(t *testing.T, c *socket.Socket, request map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args, err := c.EmitAck(ctx, messaging.EventSubscribe, request)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ OK bool }
	if len(args) != 1 || json.Unmarshal(args[0], &answer) != nil || !answer.OK {
		t.Fatalf("subscribe is answered with %s", args)
	}
}

// A client subscribes, receives, is cut, and goes on by cursor.
func TestResumeByCursor(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"SOCKET_RECOVERY_TTL": "0s"})
	c := s.dial(socket.Config{Origin: "http://allowed", LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}})
	subscribe(t, c, map[string]any{"jobId": "a"})
	next(t, c, messaging.EventSubscribed)
	next(t, c, messaging.EventCaughtUp)
	before := time.Now()
	s.publish("a", 3)
	event := next(t, c, "novel.domain-event")
	if event.Received.Before(before) || event.Received.After(time.Now()) || len(event.Text()) < 50 {
		t.Errorf("received at %v, %d bytes", event.Received, len(event.Text()))
	}
	if got := fmt.Sprint(sequences(t, c, 2)); got != "[2 3]" {
		t.Errorf("live: got %s", got)
	}
	c.Kill()
	c.Kill()
	if err := c.Err(); !errors.Is(err, socket.ErrEnded) {
		t.Errorf("after Kill: %v", err)
	}
	if err := c.Emit("ping"); err == nil {
		t.Error("a killed socket emits")
	}
	s.publish("a", 2)
	again := s.dial(socket.Config{})
	if again.Recovered() || again.Recovery().PID != "" || again.ID() == c.ID() {
		t.Errorf("recovered %v as %s, %+v; recovery is off", again.Recovered(), again.ID(), again.Recovery())
	}
	if err := again.Emit(messaging.EventSubscribe, map[string]any{"jobId": "a", "since": 3}); err != nil {
		t.Fatal(err)
	}
	next(t, again, messaging.EventSubscribed)
	if got := fmt.Sprint(sequences(t, again, 2)); got != "[4 5]" {
		t.Errorf("after the break: got %s", got)
	}
	again.Close()
	again.Close()
	if _, err := again.EmitAck(t.Context(), "ping"); err == nil {
		t.Error("a closed socket emits")
	}
}

// A session comes back with its subscriptions and what was missed, and one that was
// left on purpose does not.
func TestRecovery(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := s.dial(socket.Config{})
	subscribe(t, c, map[string]any{"jobId": "a"})
	next(t, c, messaging.EventSubscribed)
	next(t, c, messaging.EventCaughtUp)
	s.publish("a", 2)
	sequences(t, c, 2)
	c.Kill()
	kept := c.Recovery()
	if kept.PID == "" || kept.Offset == "" {
		t.Fatalf("nothing to come back with: %+v", kept)
	}
	s.publish("a", 2)
	again := s.dial(socket.Config{Recovery: kept})
	if !again.Recovered() || again.ID() != c.ID() {
		t.Fatalf("recovered %v as %s, was %s", again.Recovered(), again.ID(), c.ID())
	}
	if got := fmt.Sprint(sequences(t, again, 2)); got != "[3 4]" {
		t.Errorf("recovered with %s", got)
	}
	again.Close()
	s.empty() // the gateway has read that the session was left
	kept = again.Recovery()
	if third := s.dial(socket.Config{Recovery: kept}); third.Recovered() {
		t.Error("a session that was left came back")
	}
}

// A refusal has its code and its figures.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"SOCKET_MAX_CONNECTIONS": "1"})
	tests := []struct {
		name  string
		cfg   socket.Config
		code  messaging.Code
		limit int
	}{
		{"a foreign origin", socket.Config{Origin: "http://foreign"}, "ORIGIN_NOT_ALLOWED", 0},
		{"one too many", socket.Config{Header: http.Header{"Origin": {"http://allowed"}}}, "MAX_CONNECTIONS_EXCEEDED", 1},
	}
	s.dial(socket.Config{Origin: "http://allowed"})
	for _, test := range tests {
		test.cfg.Endpoint = s.url + "/ws"
		_, err := socket.Dial(t.Context(), test.cfg)
		var refused *socket.Refused
		if !errors.As(err, &refused) || refused.Data.Code != test.code || limitOf(refused) != test.limit || refused.Message == "" {
			t.Errorf("%s: got %v, want %s with the limit %d", test.name, err, test.code, test.limit)
		}
	}
}

// limitOf returns the limit of a refusal; 0 where it has none.
func limitOf(refused *socket.Refused) int {
	if refused.Data.Limit == nil {
		return 0
	}
	return *refused.Data.Limit
}

// The service disconnects a silent client, after saying why.
func TestDisconnected(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"SOCKET_IDLE_TIMEOUT_MS": "200"})
	c := s.dial(socket.Config{})
	next(t, c, messaging.EventError)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, socket.ErrDisconnected) || !errors.Is(err, socket.ErrEnded) {
		t.Errorf("got %v, want ErrDisconnected", err)
	}
}

// Events go to a handler in order, on one goroutine, and none after Ended.
func TestHandler(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const events = 200
	all := make(chan struct{})
	got, over := 0, false
	c := s.dial(socket.Config{Handler: func(e socket.Event) {
		if over {
			t.Error("an event after the end")
		}
		if e.Name != "novel.domain-event" {
			return
		}
		if got++; got == events {
			close(all)
		}
	}})
	subscribe(t, c, map[string]any{"jobId": "a"})
	s.publish("a", events)
	select {
	case <-all:
	case <-time.After(patience):
		t.Fatal("not all events were handled")
	}
	c.Close()
	over = true
}

// What is no such service is an error, and never a hang or a panic.
func TestDialWhatIsNoService(t *testing.T) {
	t.Parallel()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if _, err := socket.Dial(short, socket.Config{Endpoint: "http://" + listener.Addr().String() + "/ws"}); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Errorf("a silent listener: %v", err)
	}
	for _, endpoint := range []string{"http://127.0.0.1:1/ws", "::", ""} {
		if _, err := socket.Dial(t.Context(), socket.Config{Endpoint: endpoint}); err == nil {
			t.Errorf("%q was dialled", endpoint)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, io.EOF)
}
