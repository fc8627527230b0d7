package engineio_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
	"github.com/letswriteabook/realtime/internal/pipenet"
)

// line is a client's connection that carries a few bytes at a time.
type line struct {
	net.Conn
	bytes int
	every time.Duration
}

// Read implements net.Conn.
func (l line) Read(p []byte) (int, error) {
	time.Sleep(l.every)
	return l.Conn.Read(p[:min(len(p), l.bytes)])
}

// onSlowLine runs a test on fake time, with clients whose lines are slow, on TLS or not.
func onSlowLine(t *testing.T, secure bool, slow line, test func(*testing.T, *stage), configure ...func(*engineio.Config)) {
	t.Helper()
	var certificates []tls.Certificate
	if secure {
		kept := httptest.NewUnstartedServer(nil)
		kept.StartTLS()
		certificates = kept.TLS.Certificates
		kept.Close()
	}
	synctest.Test(t, func(t *testing.T) {
		pipe := pipenet.Listen()
		opts := options{listener: pipe, configure: func(cfg *engineio.Config) {
			for _, change := range configure {
				change(cfg)
			}
		}, dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := pipe.Dial(ctx, network, address)
			slow := slow
			slow.Conn = conn
			if !secure || err != nil {
				return slow, err
			}
			// The handshake is made here: who waits for its mutex keeps fake time from passing.
			client := tls.Client(slow, &tls.Config{InsecureSkipVerify: true})
			return client, client.HandshakeContext(ctx)
		}}
		if secure {
			// A ticket is written while the client writes its request, for which a pipe has no room.
			opts.listener = tls.NewListener(pipe, &tls.Config{Certificates: certificates, SessionTicketsDisabled: true})
		}
		test(t, setup(t, opts))
	})
}

// A large frame takes longer than the write timeout and the heartbeat together on a slow
// line. The session is not ended over it, on TLS either, and goes on afterwards.
func TestLargeFrameOverASlowLine(t *testing.T) {
	t.Parallel()
	slow := line{bytes: 4 << 10, every: 250 * time.Millisecond} // 16 KiB a second
	large := strings.Repeat("x", 1<<20)
	for _, secure := range []bool{false, true} {
		for _, transport := range []string{"websocket", "polling"} {
			name := transport
			if secure {
				name += " on TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				onSlowLine(t, secure, slow, func(t *testing.T, s *stage) {
					receive, answer, o := s.slowClient(transport, "3")
					start := time.Now()
					if !o.session.Offer(engineio.TextMessage([]byte(large))) {
						t.Fatal("the large frame was refused")
					}
					pings, ended := 0, false
					for !ended {
						for _, packet := range receive() {
							switch {
							case packet == "2":
								pings++
								answer()
								_ = o.session.Send(engineio.TextMessage([]byte("after")))
							case packet == "4"+large:
								if took := time.Since(start); took < 50*time.Second {
									t.Errorf("the frame took %s, which tests nothing", took)
								}
							case packet == "4after":
								ended = true
							default:
								t.Fatalf("packet of %d bytes", len(packet))
							}
						}
					}
					want(t, "pings", pings, 1)
				})
			})
		}
	}
}

// slowClient opens a session. receive waits for its next packets however long that takes, and
// send sends this packet.
func (s *stage) slowClient(transport, packet string) (receive func() []string, send func(), o *owner) {
	s.t.Helper()
	if transport == "polling" {
		id, o := s.openPolling()
		return func() []string {
			_, body := s.poll(id)
			return strings.Split(body, "\x1e")
		}, func() { s.post(id, packet) }, o
	}
	p, o := s.openWebSocket()
	return func() []string {
		_ = p.SetReadDeadline(time.Time{})
		_, data, err := p.ReadMessage()
		if err != nil {
			s.t.Fatal(err)
		}
		return []string{string(data)}
	}, func() { p.send(packet) }, o
}

// A client that takes a few bytes now and then holds what is queued for it for a bounded
// time.
func TestTricklingClientIsCut(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onSlowLine(t, secure, line{bytes: 1 << 10, every: 100 * time.Millisecond}, func(t *testing.T, s *stage) {
				p, o := s.openWebSocket()
				_ = p.SetReadDeadline(time.Time{})
				start := time.Now()
				o.session.Offer(engineio.TextMessage(make([]byte, 4<<20)))
				read := make(chan struct{})
				go func() { // ends with the connection
					defer close(read)
					_, _ = io.Copy(io.Discard, p.NetConn())
				}()
				want(t, "reason", <-o.closed, engineio.ReasonPingTimeout)
				<-read
				if took := time.Since(start); took < time.Minute || took > 3*time.Minute {
					t.Errorf("ended after %s", took)
				}
			})
		})
	}
}
