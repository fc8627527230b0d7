package engineio_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	id, o := s.openPolling()
	polled := make(chan string, 1)
	go func() { // ends with the noop
		_, body := s.poll(id)
		polled <- body
	}()
	eventually(t, "poll to wait", o.session.Waiting)
	p := s.dial(id)
	p.send("2probe")
	want(t, "probe", p.read(), "3probe")
	want(t, "waiting poll", receive(t, polled, "poll"), "6")
	_, body := s.poll(id)
	want(t, "poll while probing", body, "6")
	p.send("5")
	p.send("4hello")
	want(t, "echo", p.read(), "4hello")
	want(t, "transport", o.session.Transport(), "websocket")
	status, _ := s.poll(id)
	want(t, "poll after it", status, 400)
	status, _ = s.post(id, "4x")
	want(t, "POST after it", status, 400)
	second := s.dial(id)
	second.expectClosed()
	p.send("4still")
	want(t, "echo", p.read(), "4still")
	_ = p.Close()
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportClose)
}

// The order of what is sent during an upgrade is that of one session.
func TestUpgradeKeepsTheOrder(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for range 20 {
		id, o := s.openPolling()
		const total = 300
		go func() { // ends after its messages
			for i := range total {
				_ = o.session.Send(engineio.TextMessage(fmt.Append(nil, i)))
			}
		}()
		got := 0
		take := func(body string) {
			for packet, err := range engineio.Packets([]byte(body)) {
				if err != nil {
					t.Fatal(err)
				}
				if packet.Type == engineio.PacketMessage {
					want(t, "message", string(packet.Data), fmt.Sprint(got))
					got++
				}
			}
		}
		_, body := s.poll(id)
		take(body)
		p := s.dial(id)
		p.send("2probe")
		want(t, "probe", p.read(), "3probe")
		_, body = s.poll(id)
		take(body)
		p.send("5")
		for got < total {
			take(p.read())
		}
		_ = p.Close()
		receive(t, o.closed, "close")
	}
}

func TestFailedUpgradeLeavesPolling(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		packets []string
	}{
		{"no probe", []string{"5"}},
		{"a message first", []string{"4hello"}},
		{"garbage", []string{"zzz"}},
		{"a message in place of the upgrade", []string{"2probe", "4hello"}},
		{"another ping", []string{"2other"}},
		{"a second probe", []string{"2probe", "2probe"}},
		{"close", []string{"1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{react: echo})
			id, o := s.openPolling()
			p := s.dial(id)
			for _, packet := range test.packets {
				p.send(packet)
			}
			p.expectClosed()
			s.post(id, "4still")
			_, body := s.poll(id)
			want(t, "poll", body, "4still")
			want(t, "transport", o.session.Transport(), "polling")
			// Another attempt may succeed.
			again := s.dial(id)
			again.send("2probe")
			want(t, "probe", again.read(), "3probe")
			again.send("5")
			again.send("4now")
			want(t, "echo", again.read(), "4now")
		})
	}
}

func TestUpgradeTimeout(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{react: echo}, func(t *testing.T, s *stage) {
		for _, packets := range [][]string{nil, {"2probe"}} {
			id, _ := s.openPolling()
			start := time.Now()
			p := s.dial(id)
			for _, packet := range packets {
				p.send(packet)
				p.read2(t)
			}
			_ = p.SetReadDeadline(time.Time{})
			if _, _, err := p.ReadMessage(); err == nil {
				t.Error("the WebSocket stays")
			}
			want(t, "after", time.Since(start), 10*time.Second)
			s.post(id, "4still")
			_, body := s.poll(id)
			want(t, "poll", body, "4still")
			s.post(id, "1")
		}
	})
}

func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	id, _ := s.openPolling()
	first := s.dial(id)
	first.send("2probe")
	want(t, "probe", first.read(), "3probe")
	second := s.dial(id)
	second.expectClosed()
	first.send("5")
	first.send("4hello")
	want(t, "echo", first.read(), "4hello")
}

func TestSessionClosesWhileUpgrading(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, o := s.openPolling()
	p := s.dial(id)
	p.send("2probe")
	want(t, "probe", p.read(), "3probe")
	o.session.Close("enough")
	p.expectClosed()
	want(t, "reason", receive(t, o.closed, "close"), "enough")
	eventually(t, "melody to forget it", func() bool { return s.server.MelodyLen() == 0 })
}

// A client that finishes its upgrade at the moment at which its time is over goes on, over
// the WebSocket or over polling.
func TestUpgradeAtTheTimeout(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{react: echo}, func(t *testing.T, s *stage) {
		for range 50 {
			id, o := s.openPolling()
			p := s.dial(id)
			start := time.Now()
			p.send("2probe")
			p.read2(t)
			time.Sleep(engineio.DefaultConfig().UpgradeTimeout - time.Since(start))
			_ = p.WriteMessage(websocket.TextMessage, []byte("5"))
			synctest.Wait()
			want(t, "open", o.session.Open(), true)
			if o.session.Transport() == "websocket" {
				p.send("4still")
				want(t, "echo", p.read2(t), "4still")
			} else {
				s.post(id, "4still")
				_, body := s.poll(id)
				want(t, "poll", body, "4still")
			}
			o.session.Close("over")
			<-o.closed
		}
	})
}
