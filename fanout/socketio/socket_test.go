package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
	"github.com/letswriteabook/realtime/fanout/socketio"
)

func TestConnect(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, test := range []struct{ packet, namespace, auth string }{
		{`40`, "/", ""},
		{`40{"token":"123"}`, "/", `{"token":"123"}`},
		{`40/custom,`, "/custom", ""},
		{`40/custom,{"token":"abc"}`, "/custom", `{"token":"abc"}`},
	} {
		p := s.dial()
		p.send(test.packet)
		socket := s.expect("connect", test.auth).socket
		want(t, "id", p.accepted(test.namespace), socket.ID())
		want(t, "namespace", socket.Namespace(), test.namespace)
		_ = p.Close()
		s.expect("disconnect", engineio.ReasonTransportClose)
	}
}

func TestUnknownNamespace(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p := s.dial()
	p.send("40/random")
	p.expect(`44/random,{"message":"Invalid namespace"}`)
	p.send("40") // the connection may still be good for another
	p.accepted("/")
}

// A connection may ask for 16 namespaces that it does not get. One more closes it.
func TestNamespacesAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p := s.dial()
	p.send("40")
	p.accepted("/")
	for range 16 {
		p.send("40/random")
		p.expect(`44/random,{"message":"Invalid namespace"}`)
	}
	p.send("40/random")
	p.expectClosed()
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	s := setup(t, options{script: &script{connect: func(socket *socketio.Socket, auth json.RawMessage) *socketio.Refusal {
		switch {
		case socket.Namespace() == "/custom":
			_ = socket.Emit("never", 1)
			return &socketio.Refusal{Message: "not here"}
		case auth == nil:
			return nil
		}
		return &socketio.Refusal{Message: "Origin not allowed", Data: map[string]any{"code": "X", "limit": 3}}
	}}})
	p := s.dial()
	p.send("40{}")
	p.expect(`44{"message":"Origin not allowed","data":{"code":"X","limit":3}}`)
	p.expectClosed()

	p, _ = s.join()
	p.send("40/custom,") // refused, but the connection is in use
	p.expect(`44/custom,{"message":"not here"}`)
	p.send(`42["alive"]`)
	s.expect("event", "alive")
}

func TestEmitsInConnectFollowTheAnswer(t *testing.T) {
	t.Parallel()
	s := setup(t, options{script: &script{connect: func(socket *socketio.Socket, _ json.RawMessage) *socketio.Refusal {
		_ = socket.Emit("first", 1)
		want(t, "offer", socket.Offer(socketio.EncodeEvent("second")), true)
		if socket.QueuedBytes() == 0 {
			t.Error("nothing is queued")
		}
		return nil
	}}})
	p := s.dial()
	p.send("40")
	p.accepted("/")
	p.expect(`42["first",1]`)
	p.expect(`42["second"]`)
}

func TestDisconnectInConnect(t *testing.T) {
	t.Parallel()
	s := setup(t, options{script: &script{connect: func(socket *socketio.Socket, _ json.RawMessage) *socketio.Refusal {
		_ = socket.Emit("last")
		socket.Disconnect(true)
		return nil
	}}})
	p := s.dial()
	p.send("40")
	p.accepted("/")
	p.expect(`42["last"]`)
	p.expect("41")
	p.expectClosed()
	s.expect("connect", "")
	s.expect("disconnect", socketio.ReasonServerDisconnect)
}

func TestEventsInOrder(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	for i := range 200 {
		p.send(fmt.Sprintf(`42["tick",%d,{"a":[",","]"]} , "\"[" ]`, i))
	}
	for i := range 200 {
		got := s.expect("event", fmt.Sprintf(`tick %d {"a":[",","]"]} "\"["`, i))
		want(t, "socket", got.socket, socket)
		want(t, "ack", got.ack == nil, true)
	}
}

// An event called error is like any other; the reserved names are refused.
func TestCVE202438355EventNames(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, _ := s.join()
	p.send(`42["error",{"a":1}]`)
	s.expect("event", `error {"a":1}`)
	p.send(`42["",1]`)
	s.expect("event", " 1")
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", `\u0063onnect`} {
		bad, _ := s.join()
		bad.send(`42["` + name + `"]`)
		bad.expectClosed()
		s.expect("disconnect", engineio.ReasonParseError)
	}
	p.send(`42["alive"]`)
	s.expect("event", "alive")
}

// An event's name must be a string.
func TestCVE202332695EventNameOfAnotherType(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, packet := range []string{`42[]`, `42[1]`, `42[{"toString":1}]`, `42[["a"]]`, `42[null]`, `42[true]`, `451-[{"_placeholder":true,"num":0}]`} {
		p, _ := s.join()
		p.send(packet)
		if strings.HasPrefix(packet, "45") {
			p.sendBinary("name")
		}
		p.expectClosed()
		s.expect("disconnect", engineio.ReasonParseError)
	}
}

func TestMalformedPacketClosesOnlyItsConnection(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	other, _ := s.join()
	for _, packet := range []string{"4", "4abc", "42{}", `42abc["x"]`, "40", `43["no id"]`, `44{"message":"from a client"}`, "41{}", "40[]"} {
		p, _ := s.join()
		p.send(packet)
		p.expectClosed()
		s.expect("disconnect", engineio.ReasonParseError)
	}
	other.send(`42["alive"]`)
	s.expect("event", "alive")
}

func TestNothingBeforeConnect(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, packet := range []string{`42["x"]`, "41", "431[]", `42/custom,["x"]`} {
		p := s.dial()
		p.send(packet)
		p.expectClosed()
	}
	want(t, "calls", len(s.calls), 0)
}

func TestClientDisconnects(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	p.send("40/custom,")
	custom := s.expect("connect", "").socket
	p.accepted("/custom")
	p.send("41/custom,")
	want(t, "socket", s.expect("disconnect", socketio.ReasonClientDisconnect).socket, custom)
	receive(t, custom.Done(), "done")
	want(t, "emit", custom.Emit("x"), socketio.ErrClosed)
	p.send(`42/custom,["late"]`) // ignored
	p.send(`42["alive"]`)
	want(t, "socket", s.expect("event", "alive").socket, socket)
	p.send("41")
	s.expect("disconnect", socketio.ReasonClientDisconnect)
	p.send("40") // and back
	s.expect("connect", "")
	p.accepted("/")
}

func TestServerDisconnects(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	p.send("40/custom,")
	custom := s.expect("connect", "").socket
	p.accepted("/custom")
	_ = custom.Emit("last")
	custom.Disconnect(false)
	custom.Disconnect(false)
	p.expect(`42/custom,["last"]`)
	p.expect("41/custom,")
	want(t, "socket", s.expect("disconnect", socketio.ReasonServerDisconnect).socket, custom)
	want(t, "offer", custom.Offer(nil), false)
	receive(t, custom.Room(), "signal on close")

	socket.Disconnect(true)
	p.expect("41")
	p.expectClosed()
	s.expect("disconnect", socketio.ReasonServerDisconnect)
	want(t, "calls left", len(s.calls), 0)
}

// A client is sent DISCONNECT when it is not to come back, and not after a defect of the
// server: then it connects again by itself.
func TestFailSendsNoDisconnect(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	_ = socket.Emit("last")
	socket.Fail()
	p.expect(`42["last"]`)
	p.expectClosed() // the next message would be the DISCONNECT
	s.expect("disconnect", engineio.ReasonInternal)
	want(t, "calls left", len(s.calls), 0)
}

// The owner may be inside a lock of its own that Disconnect takes too.
func TestDisconnectIsNotCalledInside(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	h := &script{}
	h.event = func(socket *socketio.Socket, _ string, _ []json.RawMessage, _ socketio.Ack) {
		mu.Lock()
		defer mu.Unlock()
		socket.Disconnect(true)
		for socket.Emit("flood", strings.Repeat("x", 1000)) == nil {
			continue
		}
	}
	s := setup(t, options{script: h})
	p, _ := s.join()
	mu.Lock()
	p.send(`42["go"]`)
	mu.Unlock()
	p.expectClosed()
	s.expect("disconnect", socketio.ReasonServerDisconnect)
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		start := time.Now()
		p := s.dial()
		p.expectClosed()
		want(t, "silent client", time.Since(start), 10*time.Second)

		start = time.Now()
		p, _ = s.join()
		time.Sleep(20 * time.Second)
		p.send("41") // in no namespace again
		p.expectClosed()
		s.expect("disconnect", socketio.ReasonClientDisconnect)
		want(t, "client that left", time.Since(start), 30*time.Second)
	})
}

func TestFloodOfNamespaces(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p := s.dial()
	for i := range 1000 {
		if p.WriteMessage(1, fmt.Appendf(nil, "40/random-%d,", i)) != nil {
			break
		}
	}
	p.expectClosed()
	want(t, "calls", len(s.calls), 0)
}

func TestEmitPastTheHardLimitCloses(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *socketio.Config) { cfg.QueueBytes = 32 << 10 }})
	_, socket := s.join()
	var err error
	for sent := 0; err == nil && sent < 1_000_000; sent++ {
		err = socket.Emit("flood", strings.Repeat("x", 10_000))
	}
	want(t, "error", err, engineio.ErrQueueFull)
	s.expect("disconnect", engineio.ReasonQueueFull)
}

func TestOfferAndRoom(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *socketio.Config) { cfg.QueueBytes = 32 << 10 }})
	p, socket := s.join()
	packet := socketio.EncodeEvent("event", json.RawMessage(`"`+strings.Repeat("x", 10_000)+`"`))
	offered := 0
	for rounds := 0; rounds < 5; rounds++ {
		for socket.Offer(packet) {
			offered++
		}
		done := make(chan struct{})
		go func() { // ends with the room
			<-socket.Room()
			close(done)
		}()
		for waiting := true; waiting; {
			if offered > 0 {
				p.expect(string(packet))
				offered--
				continue
			}
			receive(t, done, "room")
			waiting = false
		}
	}
}

func TestEmitArguments(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	_ = socket.Emit("a")
	p.expect(`42["a"]`)
	_ = socket.Emit(`q"`, 1, "two", map[string]any{"3": []bool{true}}, json.RawMessage(`{"b": 1}`), nil)
	p.expect(`42["q\"",1,"two",{"3":[true]},{"b": 1},null]`)
	if err := socket.Emit("bad", make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	_, socket := s.join()
	want(t, "before", socket.Data(), nil)
	socket.SetData(42)
	want(t, "after", socket.Data(), any(42))
	want(t, "transport", socket.Transport(), "websocket")
	want(t, "path", socket.Request().URL.Path, "/ws/")
}

func TestShutdownLetsClientsReconnect(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	_ = socket.Emit("last")
	go func() { // ends with the test's server
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.server.Shutdown(ctx)
	}()
	p.expect(`42["last"]`)
	if _, data, err := p.ReadMessage(); err == nil { // a DISCONNECT would keep it away
		t.Errorf("read %q after the last event", data)
	}
	s.expect("disconnect", engineio.ReasonShutdown)
}

func TestPanicClosesOnlyItsConnection(t *testing.T) {
	t.Parallel()
	h := &script{}
	h.event = func(socket *socketio.Socket, name string, args []json.RawMessage, _ socketio.Ack) {
		if name == "panic" {
			panic("a defect")
		}
		h.calls <- call{kind: "event", socket: socket, text: describe(name, args)}
	}
	s := setup(t, options{script: h})
	other, _ := s.join()
	p, _ := s.join()
	p.send(`42["panic"]`)
	p.expectClosed()
	s.expect("disconnect", engineio.ReasonInternal)
	other.send(`42["alive"]`)
	s.expect("event", "alive")
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, breakIt := range map[string]func(*socketio.Config){
		"Path":              func(c *socketio.Config) { c.Path = "ws" },
		"Namespaces":        func(c *socketio.Config) { c.Namespaces = []string{"custom"} },
		"PingInterval":      func(c *socketio.Config) { c.PingInterval = 0 },
		"PingTimeout":       func(c *socketio.Config) { c.PingTimeout = 0 },
		"ConnectTimeout":    func(c *socketio.Config) { c.ConnectTimeout = 0 },
		"WriteTimeout":      func(c *socketio.Config) { c.WriteTimeout = 0 },
		"UpgradeTimeout":    func(c *socketio.Config) { c.UpgradeTimeout = 0 },
		"BodyTimeout":       func(c *socketio.Config) { c.BodyTimeout = 0 },
		"AttachmentTimeout": func(c *socketio.Config) { c.AttachmentTimeout = 0 },
		"AckTimeout":        func(c *socketio.Config) { c.AckTimeout = 0 },
		"MaxPayloadBytes":   func(c *socketio.Config) { c.MaxPayloadBytes = 0 },
		"QueueBytes":        func(c *socketio.Config) { c.QueueBytes = 0 },
		"MaxAttachments":    func(c *socketio.Config) { c.MaxAttachments = -1 },
		"MaxPendingAcks":    func(c *socketio.Config) { c.MaxPendingAcks = -1 },
	} {
		cfg := socketio.DefaultConfig()
		breakIt(&cfg)
		_, err := socketio.NewServer(cfg, &script{}, nil, nil)
		if !errors.Is(err, socketio.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
