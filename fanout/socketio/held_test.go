package socketio_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/engineio"
	"github.com/letswriteabook/realtime/fanout/socketio"
)

// TestControlBehindALargeHeldEvent: while Connect runs, an offered event of any
// size leaves what is emitted after it its own budget.
func TestControlBehindALargeHeldEvent(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20)
	s := setup(t, options{script: &script{connect: func(socket *socketio.Socket, _ json.RawMessage) *socketio.Refusal {
		if err := socket.Emit("subscribed"); err != nil {
			t.Errorf("Emit: %v", err)
		}
		if !socket.Offer(socketio.EncodeEvent("event", json.RawMessage(`"`+large+`"`))) {
			t.Error("the large event was refused")
		}
		if err := socket.Emit("caught-up"); err != nil {
			t.Errorf("Emit behind the large event: %v", err)
		}
		return nil
	}}})
	p, _ := s.join()
	p.expect(`42["subscribed"]`)
	p.expect(`42["event","` + large + `"]`)
	p.expect(`42["caught-up"]`)
}

// TestEndlessHeldControlCloses: what is emitted while Connect runs is bounded.
func TestEndlessHeldControlCloses(t *testing.T) {
	t.Parallel()
	s := setup(t, options{script: &script{connect: func(socket *socketio.Socket, _ json.RawMessage) *socketio.Refusal {
		var err error
		for sent := 0; err == nil && sent < 1_000_000; sent++ {
			err = socket.Emit("flood", strings.Repeat("x", 1000))
		}
		if !errors.Is(err, engineio.ErrQueueFull) {
			t.Errorf("Emit: %v", err)
		}
		return nil
	}}})
	p := s.dial()
	p.send("40")
	p.expectClosed()
}
