package engineio_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

func TestWebSocketHeartbeat(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, _ := s.openWebSocket()
		for range 5 {
			start := time.Now()
			want(t, "packet", p.read2(t), "2")
			want(t, "interval", time.Since(start), 25*time.Second)
			p.send("3")
		}
	})
}

// One wake-up serves the pings of many clients, none of which is later than it was announced.
func TestPingsOfSeveralClientsAreSentTogether(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		first, _ := s.openWebSocket()
		time.Sleep(30 * time.Millisecond)
		opened := time.Now()
		second, _ := s.openWebSocket()
		want(t, "first ping", first.read2(t), "2")
		pinged := time.Now()
		want(t, "second ping", second.read2(t), "2")
		want(t, "between the pings", time.Since(pinged), 0)
		want(t, "interval of the second client", time.Since(opened), 25*time.Second-30*time.Millisecond)
	})
}

func TestWebSocketPingTimeout(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		start := time.Now()
		p, o := s.openWebSocket()
		p.read2(t)
		want(t, "reason", <-o.closed, engineio.ReasonPingTimeout)
		want(t, "after", time.Since(start), 45*time.Second)
		want(t, "sessions", s.server.Len(), 0)
	})
}

// A client that is busy sending may be late with a pong.
func TestAnyMessageIsASignOfLife(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, o := s.openWebSocket()
		p.read2(t)
		time.Sleep(15 * time.Second)
		p.send("4busy")
		want(t, "message", <-o.messages, "busy")
		want(t, "next ping", p.read2(t), "2") // 25 s after the message
		want(t, "reason", <-o.closed, engineio.ReasonPingTimeout)
	})
}

// melody's own read deadline, a minute by default, knows nothing of the
// heartbeat's messages.
func TestHeartbeatKeepsASilentSocketForHours(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, o := s.openWebSocket()
		for start := time.Now(); time.Since(start) < 3*time.Hour; {
			want(t, "packet", p.read2(t), "2")
			p.send("3")
		}
		p.send("4alive")
		want(t, "message", <-o.messages, "alive")
	})
}

func TestPollingHeartbeat(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		id, o := s.openPolling()
		for range 3 {
			start := time.Now()
			_, body := s.poll(id)
			want(t, "packet", body, "2")
			want(t, "interval", time.Since(start), 25*time.Second)
			s.post(id, "3")
		}
		_, body := s.poll(id)
		want(t, "packet", body, "2")
		_, body = s.poll(id)
		want(t, "packet", body, "1")
		want(t, "reason", <-o.closed, engineio.ReasonPingTimeout)
	})
}

// Close is the last callback, however long another takes.
func TestCallbacksDoNotOverlap(t *testing.T) {
	t.Parallel()
	var busy, finish chan struct{} // of the test's own clock
	onFakeClock(t, options{react: func(*owner, []byte, bool) {
		busy <- struct{}{}
		<-finish
	}}, func(t *testing.T, s *stage) {
		busy, finish = make(chan struct{}), make(chan struct{})
		p, o := s.openWebSocket()
		p.send("4go")
		<-busy
		p.read2(t)
		<-o.session.Done() // the ping timeout
		synctest.Wait()
		want(t, "closed while busy", len(o.closed), 0)
		close(finish)
		want(t, "reason", <-o.closed, engineio.ReasonPingTimeout)
	})
}

// read2 is read on a fake clock, where a read deadline would be an event.
func (p peer) read2(t *testing.T) string {
	t.Helper()
	_ = p.SetReadDeadline(time.Time{})
	_, data, err := p.ReadMessage()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(data)
}
