package engineio_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
	"github.com/letswriteabook/realtime/internal/pipenet"
)

// throttled is a client's connection that reads slowly but steadily.
type throttled struct{ net.Conn }

// Read implements net.Conn.
func (c throttled) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return c.Conn.Read(p[:min(len(p), 4<<10)])
}

// TestControlBehindALargeEvent: one offered event may exceed every budget. The
// control frames behind it do not close the session of a client that is slow,
// and all arrives in order.
func TestControlBehindALargeEvent(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				listener := pipenet.Listen()
				s := setup(t, options{listener: listener, dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := listener.Dial(ctx, network, address)
					return throttled{conn}, err
				}})
				large := strings.Repeat("x", 1<<20)
				wanted := []string{"4" + large}
				offerAll := func(o *owner) {
					if !o.session.Offer(engineio.TextMessage([]byte(large))) {
						t.Fatal("the large event was refused")
					}
					for _, text := range append([]string{"caught-up"}, strings.Fields(strings.Repeat("pong ", 100))...) {
						if err := o.session.Send(engineio.TextMessage([]byte(text))); err != nil {
							t.Fatalf("send %s: %v", text, err)
						}
						wanted = append(wanted, "4"+text)
					}
				}
				var got []string
				if transport == "websocket" {
					p, o := s.openWebSocket()
					offerAll(o)
					for len(got) < len(wanted) {
						got = append(got, p.read())
					}
					_ = p.Close()
				} else {
					id, o := s.openPolling()
					offerAll(o)
					for len(got) < len(wanted) {
						_, body := s.poll(id)
						got = append(got, strings.Split(body, "\x1e")...)
					}
				}
				for n := range wanted {
					if got[n] != wanted[n] {
						t.Fatalf("frame %d: %d bytes, want %d", n, len(got[n]), len(wanted[n]))
					}
				}
			})
		})
	}
}

// TestEndlessControlCloses: a client that reads nothing is not sent control
// frames without end, whether or not an event waits before them.
func TestEndlessControlCloses(t *testing.T) {
	t.Parallel()
	for _, offered := range []int{0, 1 << 20} {
		onFakeClock(t, options{configure: func(cfg *engineio.Config) { cfg.QueueBytes = 64 << 10 }}, func(t *testing.T, s *stage) {
			_, o := s.openWebSocket()
			synctest.Wait()
			if offered > 0 {
				o.session.Offer(engineio.TextMessage(bytes.Repeat([]byte("x"), offered)))
			}
			pong, sent := engineio.TextMessage([]byte("pong")), 0
			var err error
			for ; err == nil && sent < 1_000_000; sent++ {
				err = o.session.Send(pong)
			}
			want(t, "error", err, engineio.ErrQueueFull)
			want(t, "reason", <-o.closed, engineio.ReasonQueueFull)
			if bytes := sent * len(pong.Data); bytes > 128<<10 {
				t.Errorf("%d bytes of control were taken", bytes)
			}
		})
	}
}

// A client that sends is alive, also when it has just taken a frame before a ping that has
// waited for as long as one may.
func TestSlowClientThatSendsIsKept(t *testing.T) {
	t.Parallel()
	slow := line{bytes: 4 << 10, every: 250 * time.Millisecond}
	onSlowLine(t, false, slow, func(t *testing.T, s *stage) {
		receive, send, o := s.slowClient("websocket", "4busy")
		const frames = 60
		start := time.Now()
		large := strings.Repeat("x", 64<<10) // four seconds on the line
		for range frames {
			if err := o.session.Send(engineio.TextMessage([]byte(large))); err != nil {
				t.Fatal(err)
			}
		}
		for received := 0; received < frames; {
			for _, packet := range receive() {
				if packet != "2" {
					received++
				}
			}
			send()
		}
		if took := time.Since(start); took < 3*time.Minute {
			t.Errorf("the frames took %s, which tests nothing", took)
		}
		want(t, "open", o.session.Open(), true)
	}, func(cfg *engineio.Config) { cfg.QueueBytes = 16 << 20 })
}
