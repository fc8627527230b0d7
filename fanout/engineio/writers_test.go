package engineio_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// Clients that read nothing hold up no other, however many there are, and get all of it
// in order when they read.
func TestWritersDoNotWaitForClients(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo, configure: func(cfg *engineio.Config) { cfg.QueueBytes = 8 << 20 }})
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
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.QueueBytes = 8 << 20 }})
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
