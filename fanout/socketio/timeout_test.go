package socketio_test

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// What a client sends in time is in time also when it waits for a callback that takes
// longer than the timeout.

func TestCallbackDelaysAnAttachment(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{configure: func(cfg *socketio.Config) { cfg.AckTimeout = 5 * time.Second }}, func(t *testing.T, s *stage) {
		p, socket := s.join()
		slow := func(socketio.Answer, error) { time.Sleep(15 * time.Second) } // runs after five seconds
		if err := socket.EmitWithAck("question", slow); err != nil {
			t.Fatal(err)
		}
		p.expect(`420["question"]`)
		p.send(`451-["file",{"_placeholder":true,"num":0}]`)
		time.Sleep(8 * time.Second)
		p.sendBinary("x")
		s.expect("event", `file {"_placeholder":true,"num":0}`)
		p.send(`42["again"]`)
		s.expect("event", "again")
	})
}

func TestCallbackDelaysAConnect(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{configure: func(cfg *socketio.Config) { cfg.AckTimeout = time.Hour }}, func(t *testing.T, s *stage) {
		p, socket := s.join()
		slow := func(socketio.Answer, error) { time.Sleep(15 * time.Second) } // runs when the socket ends
		if err := socket.EmitWithAck("question", slow); err != nil {
			t.Fatal(err)
		}
		p.expect(`420["question"]`)
		socket.Disconnect(false)
		p.expect("41")
		time.Sleep(5 * time.Second)
		p.send("40")
		s.expect("disconnect", socketio.ReasonServerDisconnect)
		s.expect("connect", "")
		p.accepted("/")
		p.send(`42["again"]`)
		s.expect("event", "again")
	})
}
