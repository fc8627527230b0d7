package engineio_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// Clients that read nothing hold up no other, however many there are, and get all of it
// in order when they read.
func TestWritersDoNotWaitForClients(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo, configure: func(cfg *engineio.Config) {
		cfg.QueueBytes = 8 << 20
		patient(cfg)
	}})
	const clients = 8 // more than there are writers on most machines
	var stalled [clients]peer
	var queued [clients]int
	for i := range stalled {
		var o *owner
		stalled[i], o = s.openWebSocket()
		for o.session.Offer(engineio.TextMessage(fmt.Appendf(nil, "%06d%s", queued[i], bytes.Repeat([]byte("x"), 900)))) {
			queued[i]++
		}
	}
	other, _ := s.openWebSocket()
	for i := range 100 {
		other.send(fmt.Sprintf("4%d", i))
		want(t, "echo", other.read(), fmt.Sprintf("4%d", i))
	}
	for i, p := range stalled {
		for n := range queued[i] {
			if got := p.read()[1:7]; got != fmt.Sprintf("%06d", n) {
				t.Fatalf("frame %s, want %06d", got, n)
			}
		}
		p.send("4after")
		want(t, "echo", p.read(), "4after")
	}
}

// Pongs of the WebSocket layer stand between whole frames, also to a client that takes
// little at a time.
func TestControlFramesBetweenFrames(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.QueueBytes = 8 << 20
		patient(cfg)
	}})
	p, o := s.openWebSocket()
	pongs := 0
	p.SetPongHandler(func(string) error { pongs++; return nil })
	frames, frame := 0, engineio.TextMessage(bytes.Repeat([]byte("x"), 5000))
	for ; o.session.Offer(frame); frames++ {
		if frames%20 == 0 {
			if err := p.WriteControl(9, []byte("are you there?"), time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range frames {
		want(t, "frame", len(p.read()), len(frame.Data))
	}
	_ = o.session.Send(engineio.TextMessage([]byte("last")))
	want(t, "frame", p.read(), "4last")
	if pongs == 0 {
		t.Error("no pong")
	}
}

// patient sets limits that a client on a slow machine does not exceed.
func patient(cfg *engineio.Config) { cfg.WriteTimeout, cfg.PingInterval = time.Minute, time.Hour }

// A ping of the WebSocket layer that arrives during a large frame holds up neither the
// frames of the client after it nor the large frame. The latest one is answered.
func TestPingDuringALargeFrame(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: patient})
	p, o := s.openWebSocket()
	var pongs []string
	p.SetPongHandler(func(payload string) error { pongs = append(pongs, payload); return nil })
	large := engineio.TextMessage(make([]byte, 32<<20)) // more than the network takes
	_ = o.session.Send(large)
	_ = p.SetReadDeadline(time.Now().Add(time.Minute))
	_, reader, err := p.NextReader() // the frame is being written
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"first", "latest"} {
		if err := p.WriteControl(websocket.PingMessage, []byte(payload), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	p.send("4after the pings")
	want(t, "message", receive(t, o.messages, "message"), "after the pings")
	n, err := io.Copy(io.Discard, reader)
	if err != nil || n != int64(len(large.Data)) {
		t.Fatalf("%d bytes of the frame: %v", n, err)
	}
	// The frame is counted as sent after its last byte has arrived. Until then, a client that
	// has not read it may be sent no more.
	eventually(t, "the frame to be sent", func() bool { return o.session.QueuedBytes() == 0 })
	_ = o.session.Send(engineio.TextMessage([]byte("last")))
	want(t, "frame", p.read(), "4last")
	want(t, "pongs", strings.Join(pongs, ","), "latest")
	eventually(t, "everything to be sent", func() bool { return o.session.QueuedBytes() == 0 })
}

// The length of a frame takes 1, 3 or 9 bytes.
func TestFrameLengths(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, o := s.openWebSocket()
	for _, size := range []int{0, 1, 124, 125, 126, 16 << 10, 65_534, 65_535, 65_536, 200_000} {
		content := bytes.Repeat([]byte("y"), size)
		_ = o.session.Send(engineio.TextMessage(content), engineio.BinaryMessage(content))
		want(t, "text", len(p.read()), 1+size)
		want(t, "binary", len(p.read()), len("b:")+size)
	}
}
