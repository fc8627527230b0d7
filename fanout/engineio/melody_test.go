package engineio_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// The edges of melody v1.3.0 that this package covers, one test each. Every one
// fails when its guard is taken out.

// Session.Write returns nil for a message that it drops on a full buffer.
func TestMelodyDropsNothing(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, o := s.openWebSocket()
	const total = 5000
	for i := range total { // far faster than anyone reads
		if err := o.session.Send(engineio.TextMessage(fmt.Append(nil, i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range total {
		want(t, "frame", p.read(), fmt.Sprintf("4%d", i))
	}
	want(t, "sent", counter(t, s, "realtime_engineio_frames_dropped_total"), 0)
}

// Session.Close on a full buffer is dropped like any message, and with it the
// close of a slow client.
func TestMelodyClosesAFullBuffer(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.QueueBytes = 32 << 20 }})
	p, o := s.openWebSocket()
	frame := engineio.TextMessage(bytes.Repeat([]byte("x"), 64<<10))
	const total = 300 // more than the kernel takes
	for range total {
		if err := o.session.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	o.session.Close("enough")
	for range total {
		want(t, "frame", len(p.read()), len(frame.Data))
	}
	want(t, "close code", p.expectClosed(), websocket.CloseNormalClosure)
	want(t, "reason", receive(t, o.closed, "close"), "enough")
}

// Session.Close called from HandleError on a full buffer calls HandleError
// again, until the stack ends the process.
func TestMelodyErrorDoesNotRecurse(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		_, o := s.openWebSocket() // reads nothing
		o.session.Overfill()
		if dropped := counter(t, s, "realtime_engineio_frames_dropped_total"); dropped == 0 {
			t.Error("nothing was dropped, so nothing is tested")
		}
		o.session.Close("enough")
		want(t, "reason", <-o.closed, "enough") // the write timeout
	})
}

// Callbacks may run under the lock of melody's hub; ours may call anything.
func TestMelodyCallbacksMayCallBack(t *testing.T) {
	t.Parallel()
	var s *stage
	s = setup(t, options{react: func(o *owner, _ []byte, _ bool) {
		_ = s.server.MelodyLen()
		_ = s.server.Len()
		_ = o.session.QueuedBytes()
		for range 100 { // fills melody's channel from within its own callback
			_ = o.session.Send(engineio.TextMessage([]byte("back")))
		}
		o.session.Close("enough")
	}})
	p, o := s.openWebSocket()
	p.send("4go")
	for range 100 {
		want(t, "frame", p.read(), "4back")
	}
	p.expectClosed()
	want(t, "reason", receive(t, o.closed, "close"), "enough")
}

// A panic in a callback ends melody's goroutine and leaves its session in the
// hub and its connection open.
func TestMelodyPanicLeaksNothing(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: func(o *owner, data []byte, _ bool) {
		if string(data) == "panic" {
			panic("a defect")
		}
		echo(o, data, false)
	}})
	other, _ := s.openWebSocket()
	p, o := s.openWebSocket()
	p.send("4panic")
	p.expectClosed()
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonInternal)
	eventually(t, "melody to forget it", func() bool { return s.server.MelodyLen() == 1 })
	other.send("4alive")
	want(t, "the other session", other.read(), "4alive")

	id, polled := s.openPolling()
	s.post(id, "4panic")
	want(t, "reason", receive(t, polled.closed, "close"), engineio.ReasonInternal)
	want(t, "panics", counter(t, s, "realtime_engineio_panics_total"), 2)
}

func TestPanicInAccept(t *testing.T) {
	t.Parallel()
	s := setup(t, options{open: func(*owner) { panic("a defect") }})
	s.dial("").expectClosed()
	s.request("GET", "EIO=4&transport=polling", "", "")
	eventually(t, "the sessions to end", func() bool { return s.server.Len() == 0 })
	want(t, "panics", counter(t, s, "realtime_engineio_panics_total"), 2)
}

// A request that upgrades while melody closes is registered after the hub has
// let go of all, and stays.
func TestMelodyUpgradeWhileClosing(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		conn, err := s.dialer.NetDialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		synctest.Wait() // the upgrade waits for its response to be read
		ended := make(chan error, 1)
		go func() { ended <- s.server.Shutdown(context.Background()) }() // ends with the connection
		synctest.Wait()                                                  // everything known has been told to close
		read, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(read), "HTTP/1.1 101 ") || strings.Contains(string(read), "sid") {
			t.Errorf("read %q, want an upgrade and then the end", read)
		}
		want(t, "shutdown", <-ended, nil)
		want(t, "sessions", s.server.Len(), 0)
	})
}

// Messages are limited to 512 bytes by default.
func TestMelodyMessageSize(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo, configure: func(cfg *engineio.Config) { cfg.MaxPayloadBytes = 10_000 }})
	for _, test := range []struct {
		size int
		fits bool
	}{{512, true}, {513, true}, {9_999, true}, {10_000, true}, {10_001, false}} {
		p, o := s.openWebSocket()
		p.send("4" + strings.Repeat("x", test.size-1))
		if test.fits {
			want(t, "echo", len(p.read()), test.size)
			continue
		}
		want(t, "close code", p.expectClosed(), websocket.CloseMessageTooBig)
		want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)
	}
}

// The hub's broadcasts scan all sessions, under its lock, and drop.
func TestMelodyBroadcastIsUnused(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok && strings.HasPrefix(selector.Sel.Name, "Broadcast") {
				t.Errorf("%s uses %s", name, selector.Sel.Name)
			}
			return true
		})
	}
}

func counter(t *testing.T, s *stage, name string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			total := 0.0
			for _, metric := range family.GetMetric() {
				total += metric.GetCounter().GetValue()
			}
			return total
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
