package engineio

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Nothing is written after the close frame, and a close after it leaves the client time to
// read to the end, also while another goroutine holds the lock.
func TestNothingFollowsTheCloseFrame(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	network, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	metrics, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(network, &webSocket{session: &Session{}}, metrics, DefaultConfig())
	c.startFraming()
	if err := c.writeClose([]byte{3, 232}); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock() // as a control frame of the reading goroutine does
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	c.mu.Unlock()
	frames := []Frame{TextMessage([]byte("late"))}
	for what, write := range map[string]func() error{
		"a pong":           func() error { _, err := c.Write([]byte{0x8a, 0}); return err },
		"frames":           func() error { return c.writeFrames(frames) },
		"ready frames":     func() error { _, _, err := c.tryFrames(frames, newAttempt()); return err },
		"one more goodbye": func() error { return c.writeClose(nil) },
	} {
		if err := write(); !errors.Is(err, websocket.ErrCloseSent) {
			t.Errorf("%s after the close frame: %v", what, err)
		}
	}
	if err := network.SetReadDeadline(time.Time{}); err != nil {
		t.Errorf("both directions are closed: %v", err)
	}
	_ = client.SetReadDeadline(time.Now().Add(time.Minute))
	if got, err := io.ReadAll(client); err != nil || string(got) != "\x88\x02\x03\xe8" {
		t.Errorf("the client reads %q, %v", got, err)
	}
}
