package engineio_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// faulty is an owner whose callbacks panic.
type faulty struct {
	in string // accept, message, oversize, room or close
}

func (f *faulty) panicIn(callback string) {
	if f.in == callback {
		panic("for the test")
	}
}

func (f *faulty) Message([]byte, bool)       { f.panicIn("message") }
func (f *faulty) Oversize([]byte, int, bool) { f.panicIn("oversize") }
func (f *faulty) Room()                      { f.panicIn("room") }
func (f *faulty) Close(string)               { f.panicIn("close") }

// notes is a log that several goroutines write to.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(line []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(line)
}

func (n *notes) errors() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.text.String(), "level=ERROR")
}

// A panic in a callback or a timer of a session closes that session alone. Each is
// counted, and the first of its kind is logged.
func TestPanicsCloseTheirSessionOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]func(p peer, session *engineio.Session){
		"accept":   nil, // on opening
		"message":  func(p peer, _ *engineio.Session) { p.send("4x") },
		"oversize": func(p peer, _ *engineio.Session) { p.send("4" + strings.Repeat("x", 5000)) },
		"room": func(_ peer, session *engineio.Session) {
			frame := engineio.TextMessage(bytes.Repeat([]byte("x"), 64<<10))
			for session.Offer(frame) {
			}
		},
		"close": func(p peer, _ *engineio.Session) { _ = p.Close() },
		"later": func(_ peer, session *engineio.Session) { session.Later(func() { panic("for the test") }) },
		"timer": func(_ peer, session *engineio.Session) {
			session.Timeout(time.Millisecond, func() { panic("for the test") })
		},
		"heartbeat": func(_ peer, session *engineio.Session) { session.BreakHeartbeat() },
	}
	for in, provoke := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			cfg := engineio.DefaultConfig()
			cfg.MaxMessageBytes, cfg.QueueBytes = 4000, 256<<10
			var log notes
			registry := prometheus.NewRegistry()
			sessions := make(chan *engineio.Session, 8)
			var next sync.Mutex
			faults := in
			server, err := engineio.NewServer(cfg, func(session *engineio.Session) engineio.Receiver {
				next.Lock()
				f := &faulty{in: faults}
				next.Unlock()
				sessions <- session
				f.panicIn("accept")
				return f
			}, slog.New(slog.NewTextHandler(&log, nil)), registry)
			if err != nil {
				t.Fatal(err)
			}
			web := httptest.NewServer(server)
			t.Cleanup(func() {
				_ = server.Shutdown(t.Context())
				web.Close()
			})
			open := func() (peer, *engineio.Session) {
				conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(web.URL, "http")+"/engine.io/?EIO=4&transport=websocket", http.Header{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				return peer{conn, t}, receive(t, sessions, "session")
			}
			next.Lock()
			faults = ""
			next.Unlock()
			other, _ := open()
			other.read() // the open packet
			next.Lock()
			faults = in
			next.Unlock()
			for range 2 {
				p, session := open()
				if provoke != nil {
					p.read()
					provoke(p, session)
				}
				go func() { // ends with the connection
					for {
						if _, _, err := p.ReadMessage(); err != nil {
							return
						}
					}
				}()
				receive(t, session.Done(), "end of the session")
			}
			eventually(t, "panics to be counted", func() bool {
				families, err := registry.Gather()
				if err != nil {
					t.Fatal(err)
				}
				for _, family := range families {
					if family.GetName() == "realtime_engineio_panics_total" {
						return family.GetMetric()[0].GetCounter().GetValue() == 2
					}
				}
				return false
			})
			eventually(t, "the other session alone", func() bool { return server.Len() == 1 })
			if n := log.errors(); n != 1 {
				t.Errorf("%d lines about two panics", n)
			}
			_ = other.SetWriteDeadline(time.Now().Add(patience))
			other.send("4y")
		})
	}
}
