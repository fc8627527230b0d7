package engineio_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// cutAt makes messages of more than 4,000 bytes, type included, too large to be kept.
func cutAt(cfg *engineio.Config) { cfg.MaxMessageBytes = 4000 }

// A message that is larger than a session takes is not kept: its beginning is handed
// on, with its size, and the messages around it are whole.
func TestLargeMessagesAreNotKept(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: cutAt})
	p, o := s.openWebSocket()
	for _, size := range []int{3999, 4000, 4001, 900_000, 4000} {
		p.send("4" + strings.Repeat("x", size-1))
		p.send("4between")
		got := receive(t, o.messages, "message")
		if size <= 4000 {
			want(t, "size", len(got), size-1)
		} else {
			want(t, "message", got, fmt.Sprintf("%d bytes from %d", size, engineio.HeadBytes-1))
		}
		want(t, "message", receive(t, o.messages, "message"), "between")
	}
	// Cut between the bytes of a rune, which is no malformed text.
	p.send("4" + strings.Repeat("ä", 5000))
	want(t, "message", receive(t, o.messages, "message"), fmt.Sprintf("10001 bytes from %d", engineio.HeadBytes-2))
	p.send("4after")
	want(t, "message", receive(t, o.messages, "message"), "after")
}

// So is one that comes in many frames, and what it may have in all stays bounded.
func TestLargeMessagesInFragmentsAreNotKept(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cutAt(cfg); cfg.MaxPayloadBytes = 50_000 }})
	p, o := s.openWebSocket()
	write := func(fragments, more int) error {
		writer, err := p.NextWriter(websocket.TextMessage)
		if err != nil {
			return err
		}
		for range fragments {
			if _, err := writer.Write([]byte("4" + strings.Repeat("y", 1999))); err != nil {
				return err
			}
			// What is larger than the client's buffer is sent as a frame of its own.
			if _, err := writer.Write(make([]byte, 8000)); err != nil {
				return err
			}
		}
		if _, err := writer.Write(make([]byte, more)); err != nil {
			return err
		}
		return writer.Close() // sends the last bytes in a frame of their own
	}
	if err := write(4, 0); err != nil {
		t.Fatal(err)
	}
	got := receive(t, o.messages, "message")
	if !strings.HasPrefix(got, "40000 bytes from ") {
		t.Fatalf("message %q", got)
	}
	p.send("4after")
	want(t, "message", receive(t, o.messages, "message"), "after")
	// One byte too many, in the last frame: the server reads all before it closes, so that
	// its close frame is not lost in a reset.
	if err := write(5, 1); err != nil {
		t.Fatal(err)
	}
	want(t, "close code", p.expectClosed(), websocket.CloseMessageTooBig)
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)
}

// A message that the transport does not take ends the connection, as before.
func TestMessagesOverThePayloadEndTheConnection(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cutAt(cfg); cfg.MaxPayloadBytes = 10_000 }})
	p, o := s.openWebSocket()
	p.send("4" + strings.Repeat("x", 10_000)) // one byte too many
	want(t, "close code", p.expectClosed(), websocket.CloseMessageTooBig)
	receive(t, o.closed, "close")
}

// Over polling the packets of one body are looked at one by one.
func TestLargePacketsOfAPostAreNotHandedOn(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: cutAt})
	id, o := s.openPolling()
	status, _ := s.post(id, "4before\x1e4"+strings.Repeat("x", 9000)+"\x1e4after")
	want(t, "status", status, http.StatusOK)
	want(t, "message", receive(t, o.messages, "message"), "before")
	want(t, "message", receive(t, o.messages, "message"), fmt.Sprintf("9000 bytes from %d", engineio.HeadBytes))
	want(t, "message", receive(t, o.messages, "message"), "after")
}
